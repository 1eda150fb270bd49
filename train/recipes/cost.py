"""What a recipe would cost: its configuration, and for each stage parameters, FLOPs a step and expected time."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from purecert.train.fitting.data import Images, Sampler
from purecert.train.fitting.keeping.configuration import plain
from purecert.train.fitting.loop import fit
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.processes.group import Processes
from purecert.train.fitting.session import Session
from purecert.train.fitting.step import Objective, find_slope
from purecert.train.recipes.asking import Asked
from purecert.train.recipes.digits import train_on
from purecert.train.recipes.paper.compared import model_of
from purecert.train.recipes.paper.stages import PaperTraining
from purecert.train.recipes.rrcm.recipe import RrcmRecipe
from purecert.train.recipes.rrcm.training import RrcmTraining

_STEPS = 3  # timed, after one that is not
_LARGE = 20_000_000  # parameters, trained or not, above which two rows stand for the batch; batch norm needs two


@dataclass(frozen=True, kw_only=True, slots=True)
class StageCost:
    """One stage, measured on ``rows`` rows and taken in proportion to the batch."""

    stage: str
    parameters: int  # trained ones
    steps: int
    batch: int
    rows: int  # of the measured steps
    flops: float  # of one step of the whole batch: 2 for a multiplication with its addition; forward and backward
    seconds: float  # of one step of the whole batch in one process, measured

    @property
    def minutes(self) -> float:
        """The stage's expected time in one process."""
        return self.steps * self.seconds / 60


@contextmanager
def counted() -> Iterator[FlopCounterMode]:
    """Count the FLOPs of what is computed inside, attention's too, of which the fused kernel for a CPU has no count."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        yield counter


class Meter:
    """Stands in for the loop: counts and times a few steps on ``rows`` rows, and trains nothing to its end."""

    def __init__(self, rows: int | None = None) -> None:
        self.found: list[StageCost] = []
        self._rows = rows

    def __call__(self, module: nn.Module, objective: Objective, plan: Fit, sampler: Sampler, session: Session) -> None:
        """Measure one stage."""
        trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
        is_large = sum(p.numel() for p in module.parameters()) > _LARGE
        rows = self._rows or (2 if is_large else sampler.batch)
        few, here = replace(sampler, batch=rows), Session(device=session.device)
        module.train()
        with torch.random.fork_rng(devices=[]), counted() as counter:
            find_slope(module, objective, few.draw(plan.stage, 0, None, here.device), plan.precision, Processes())
        fit(module, objective, replace(plan, steps=1), few, here)
        start = time.perf_counter()
        fit(module, objective, replace(plan, steps=_STEPS), few, here)
        seconds, share = (time.perf_counter() - start) / _STEPS, sampler.batch / rows
        self.found.append(
            StageCost(
                stage=plan.stage,
                parameters=trained,
                steps=plan.steps,
                batch=sampler.batch,
                rows=rows,
                flops=counter.get_total_flops() * share,
                seconds=seconds * share,
            )
        )


def measure(asked: Asked, rows: int | None = None) -> tuple[dict[str, Any], list[StageCost]]:
    """Return the configuration asked for and the cost of its stages, on random images: no data are read.

    Raises:
        InputError: A file that a stage needs is missing or does not fit.
    """
    torch.set_num_threads(asked.threads)
    meter, session = Meter(rows), Session(device=asked.place())
    if asked.recipe == "digits":
        demo = asked.digits()
        train_on(_noise((1, 8, 8), 10), demo, session, meter)
        return plain(demo), meter.found
    recipe = asked.rrcm() if asked.is_rrcm else asked.paper()
    images = _noise(recipe.data.shape, recipe.data.classes)
    if isinstance(recipe, RrcmRecipe):
        make = RrcmTraining(replace(recipe, labels=None), images, session, meter).model
    else:
        make = partial(model_of, PaperTraining(recipe, images, session, asked.sources(), meter))
    for stage in recipe.stages if asked.stage == "all" else (asked.stage,):
        make(stage)
    return plain(recipe), meter.found


def describe(asked: Asked, tflops: float | None = None) -> str:
    """Return the configuration as JSON, then a table of what its stages cost here, and at ``tflops`` where given.

    Raises:
        InputError: As ``measure``.
    """
    configuration, costs = measure(asked)
    lines = [
        json.dumps(configuration, indent=1),
        f"{'stage':20}{'parameters':>12}{'steps':>9}{'GFLOP/step':>12}{'minutes':>9}",
    ]
    lines += [f"{c.stage:20}{c.parameters:12,}{c.steps:9,}{c.flops / 1e9:12.2f}{c.minutes:9.1f}" for c in costs]
    lines.append(f"{'all':20}{'':33}{sum(c.minutes for c in costs):9.1f}")
    rows = sorted({c.rows for c in costs})
    lines.append(
        f"minutes: of one process of {asked.threads} thread(s) on {asked.device}, from {_STEPS} steps of {rows} rows "
        "of random images in proportion to the batch, timed now beside whatever else runs here. Two processes on two "
        "idle cores take about half. Loading and saving are not in it."
    )
    if tflops is not None:
        hours = sum(c.steps * c.flops for c in costs) / (tflops * 1e12) / 3600
        lines.append(
            f"at {tflops:g} TFLOP/s, if all steps ran at that rate: {hours:.1f} hours. No hardware reaches its peak in "
            "training; give the rate that it does reach."
        )
    return "\n".join(lines)


def _noise(shape: tuple[int, int, int], classes: int) -> Images:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(64, *shape, generator=generator) * 2 - 1
    return Images(pixels=pixels, labels=torch.arange(64) % classes, classes=classes)
