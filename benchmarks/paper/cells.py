"""The cells of the table: each is trained, judged or certified once, and found again in the work folder.

WORK/seed-0/STAGE/state.pt, model.pt, processor.jsonl   a stage or a comparison of the recipe
WORK/seed-0/STAGE/judged-0.25.npz                       one draw an image, of this model and these images
WORK/seed-0/STAGE/plan-0.25, run-0.25-1000              certificates at that n
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paper.clock import total_seconds
from paper.rows import RADII
from paper.trainings import Trainings, first

from purecert.engine.commands.console import talk
from purecert.engine.errors import CheckError
from purecert.engine.images.datasets import Dataset, load_dataset
from purecert.export.pipeline import ExportSpec, export_plan
from purecert.train.measures.certified import Certified, certified_accuracy
from purecert.train.measures.one_draw import judge_of, one_draw
from purecert.train.models.checkpoints import Model, load_model, save_model
from purecert.train.networks.conditioned import at_sigma
from purecert.train.recipes.cost import counted

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


class Cells:
    """All cells of one recipe with one seed."""

    def __init__(self, seed: int, trainings: Trainings, data_dir: Path, sizes: Sizes) -> None:
        self.trainings, self.sizes = trainings, sizes
        self._seed, self._data_dir = seed, data_dir
        self._models: dict[str, Model] = {}

    def model(self, stage: str) -> Model:
        """Return the model of a stage or comparison, as its file holds it: trained where it is not."""
        if stage not in self._models:
            path = self.trainings.folder / stage / "model.pt"
            model = self.trainings.model(stage)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_model(model, path, force=True)  # the same model has the same bytes
            self._models[stage] = load_model(path)
        return self._models[stage]

    def judged(self, stage: str, sigma: float, images: int | None) -> dict[str, Any]:
        """Return what one draw an image shows, as ``one_draw`` measures it; features are the judge's."""
        data, model = self._test(images), self.model(stage)
        made_from = f"{model.sha256} {data.fingerprint}"
        path = self.trainings.folder / stage / f"judged-{sigma:g}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as kept:
                if str(kept["made_from"]) == made_from:
                    return {name: kept[name] for name in kept.files}
        talk(f"judging {stage} at sigma {sigma:g}")
        judge, other = judge_of(model, sigma), self.trainings.judge
        extractor = judge if other in (None, stage) else judge_of(self.model(other), sigma)
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

    def certified(self, stage: str, sigma: float, n: int) -> Certified:
        """Return the certificates of a stage at one sigma and n: exported, run or continued, and read."""
        sizes, model = self.sizes, self.model(stage)
        plan, run = self.trainings.folder / stage / f"plan-{sigma:g}", self._run(stage, sigma, n)
        if not plan.exists():
            talk(f"exporting {stage} at sigma {sigma:g}")
            spec = ExportSpec(sigmas=(sigma,), precision="fp32", parity_draws=sizes.parity_draws)
            export_plan(model, spec, self._test(max(20, sizes.certified_images)), plan)
        arguments = ["--plan", plan, "--data", f"{_DATA}:test[:{sizes.certified_images}]", "--sigma", f"{sigma:g}"]
        arguments += ["--data-dir", self._data_dir, "--n0", str(sizes.n0), "--n", str(n)]
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

    def pace(self, stage: str, sigma: float, n: int) -> float:
        """Return the seconds between the ends of images of that run, an image, on one thread."""
        lines = (self._run(stage, sigma, n) / "timings.jsonl").read_text().splitlines()
        return sum(float(json.loads(line)["seconds"]) for line in lines) / len(lines)

    def _run(self, stage: str, sigma: float, n: int) -> Path:
        return self.trainings.folder / stage / f"run-{sigma:g}-{n}"

    def seconds(self, stage: str) -> float | None:
        """Return the processor seconds of all trainings that a row stands on; None where one is not known."""
        return total_seconds(self.trainings.folder, self.trainings.below(stage))

    def costs(self, stage: str, sigma: float) -> tuple[float, float]:
        """Return GFLOP of one image through purifier and classifier, and TFLOP of all trainings they stand on."""
        model, costs = self.trainings.measured(stage)
        pixels = torch.zeros(1, *model.input_shape)
        with torch.no_grad(), counted() as counter:
            classifier = at_sigma(model.classifier, sigma)
            classifier(model.preprocessing(model.purifier(pixels, sigma)))
        return counter.get_total_flops() / 1e9, sum(cost.flops * cost.steps for cost in costs) / 1e12

    def _test(self, images: int | None) -> Dataset:
        few = [count for count in (images, self.sizes.images) if count is not None]
        return load_dataset(f"{_DATA}:test{first(min(few) if few else None)}", self._data_dir)
