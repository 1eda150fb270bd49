"""The cells of the table: each is trained, judged or certified once, and found again in the work folder.

WORK/seed-0/STAGE/state.pt, model.pt, processor.jsonl   a stage or a comparison of the recipe
WORK/seed-0/STAGE/judged-0.25.npz                       one draw an image, of this model and these images
WORK/seed-0/STAGE/plan, run-0.25                        certificates
"""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paper.clock import Clock, total_seconds
from paper.rows import RADII
from torch.utils.flop_counter import FlopCounterMode

from purecert.engine.commands.console import talk
from purecert.engine.errors import CheckError
from purecert.engine.images.datasets import Dataset, load_dataset
from purecert.export.pipeline import ExportSpec, export_plan
from purecert.train.fitting.data import Images, load_images
from purecert.train.fitting.session import Session
from purecert.train.measures.certified import Certified, certified_accuracy
from purecert.train.measures.one_draw import judge_of, one_draw
from purecert.train.models.checkpoints import Model, load_model, save_model
from purecert.train.recipes.cost import Meter
from purecert.train.recipes.known import paper_recipe
from purecert.train.recipes.paper.compared import check_files, model_of, stages_below
from purecert.train.recipes.paper.recipe import PaperRecipe
from purecert.train.recipes.paper.sources import Sources
from purecert.train.recipes.paper.stages import PaperTraining

JUDGE = "second-classifier"
_DATA = "fashion_mnist"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """How much of everything."""

    steps_scale: float = 1.0
    train_images: int | None = None  # None: all
    images: int | None = None  # judged; None: all
    certified_images: int = 200
    n0: int = 100
    n: int = 1000
    parity_draws: int = 20_000
    probe_rows: int = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where everything lies."""

    work: Path
    data_dir: Path
    lpips_weights: Path | None = None

    @property
    def sources(self) -> Sources:
        """The files that trainings need."""
        return Sources(lpips_weights=self.lpips_weights)


class Cells:
    """All cells of one seed."""

    def __init__(self, seed: int, place: Place, sizes: Sizes) -> None:
        self.recipe: PaperRecipe = paper_recipe("fashion-mnist", seed=seed).scaled(sizes.steps_scale)
        self.folder, self._place, self._sizes, self._seed = place.work / f"seed-{seed}", place, sizes, seed
        self._training: PaperTraining | None = None
        self._models: dict[str, Model] = {}

    def check(self, stages: Iterable[str]) -> None:
        """Read the files that the stages need, before hours of training."""
        check_files(self._opened(), tuple(stages))

    def model(self, stage: str) -> Model:
        """Return the model of a stage or comparison, as its file holds it: trained where it is not."""
        if stage in self._models:
            return self._models[stage]
        path, training = self.folder / stage / "model.pt", self._opened()
        model = model_of(training, stage)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_model(model, path, force=True)  # the same model has the same bytes
        self._models[stage] = load_model(path)
        return self._models[stage]

    def judged(self, stage: str, sigma: float, images: int | None) -> dict[str, Any]:
        """Return what one draw an image shows, as ``one_draw`` measures it; features are the second classifier's."""
        data, model = self._test(images), self.model(stage)
        made_from = f"{model.sha256} {data.fingerprint}"
        path = self.folder / stage / f"judged-{sigma:g}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as kept:
                if str(kept["made_from"]) == made_from:
                    return {name: kept[name] for name in kept.files}
        talk(f"judging {stage} at sigma {sigma:g}")
        extractor = judge_of(self.model(JUDGE))
        judge = extractor if stage == JUDGE else judge_of(model)
        found = one_draw(model.purifier, judge, data, sigma, extractor=extractor, seed=self._seed)
        cell = {
            "made_from": np.array(made_from),
            "clean": found.clean,
            "right": found.right,
            "transport": found.transport,
            "frechet": np.array(found.frechet),
        }
        np.savez(path, **cell)
        return cell

    def certified(self, stage: str, sigma: float) -> Certified:
        """Return the certificates of a stage at one sigma: exported, run or continued, and read."""
        folder, sizes, model = self.folder / stage, self._sizes, self.model(stage)
        plan, run = folder / f"plan-{sigma:g}", folder / f"run-{sigma:g}"
        if not plan.exists():
            talk(f"exporting {stage} at sigma {sigma:g}")
            spec = ExportSpec(sigmas=(sigma,), precision="fp32", parity_draws=sizes.parity_draws)
            export_plan(model, spec, self._test(max(20, sizes.certified_images)), plan)
        arguments = ["--plan", plan, "--data", f"{_DATA}:test[:{sizes.certified_images}]", "--sigma", f"{sigma:g}"]
        arguments += ["--data-dir", self._place.data_dir, "--n0", str(sizes.n0), "--n", str(sizes.n)]
        arguments += ["--threads", "1", "--probe-rows", str(sizes.probe_rows), "--out", run]
        arguments += ["--resume"] if run.exists() else []
        command = [Path(sys.executable).parent / "engine-certify", *arguments]
        ended = subprocess.run([str(part) for part in command], stdout=subprocess.DEVNULL, check=False)
        if ended.returncode:
            raise CheckError(f"{run}: engine-certify ended with {ended.returncode}")
        found = certified_accuracy(run, RADII)
        if found.model != model.sha256:
            raise CheckError(f"{run}: is of a model that was trained anew since; move {plan} and {run} away")
        return found

    def seconds(self, stage: str) -> float | None:
        """Return the processor seconds of all trainings that a row stands on; None where one is not known."""
        parts = {name: part.fit.steps for name, part in self.recipe.parts.items()}
        parts |= {each.name: each.part.fit.steps for each in self.recipe.comparisons if hasattr(each.part, "fit")}
        return total_seconds(self.folder, [(name, parts[name]) for name in stages_below(self.recipe, stage)])

    def _opened(self) -> PaperTraining:
        if self._training is None:
            images = load_images(f"{self.recipe.data.train}{_first(self._sizes.train_images)}", self._place.data_dir)
            session = Session(folder=self.folder, progress=Clock(sys.stderr, self.folder))
            torch.set_num_threads(1)
            self._training = PaperTraining(self.recipe, images, session, self._place.sources)
        return self._training

    def _test(self, images: int | None) -> Dataset:
        few = [count for count in (images, self._sizes.images) if count is not None]
        return load_dataset(f"{_DATA}:test{_first(min(few) if few else None)}", self._place.data_dir)


def _first(count: int | None) -> str:
    return "" if count is None else f"[:{count}]"


@cache
def costs(recipe: PaperRecipe, stage: str, sigma: float, sources: Sources) -> tuple[float, float]:
    """Return GFLOP of one image through purifier and classifier, and TFLOP of all trainings that they stand on."""
    meter = Meter(rows=2)
    pixels = torch.zeros(4, *recipe.data.shape)
    images = Images(pixels=pixels, labels=torch.arange(4), classes=recipe.data.classes)
    model = model_of(PaperTraining(recipe, images, Session(), sources, meter), stage)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.classifier(model.preprocessing(model.purifier(pixels[:1], sigma)))
    trained = sum(cost.flops * cost.steps for cost in meter.found)
    return counter.get_total_flops() / 1e9, trained / 1e12
