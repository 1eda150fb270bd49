"""What a benchmark is asked for, checked before anything is measured."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from purecert.engine.backends.base import BackendOptions
from purecert.engine.bench.agreement import Draws
from purecert.engine.bench.measure import Task
from purecert.engine.bench.record import Options
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset, spread_places
from purecert.engine.plans.plan import Plan

# How the field's loop runs, beside its precision: the layout of images on a CPU, TF32 on a GPU.
Variant = Literal["NCHW", "channels-last", "TF32 off", "torch's defaults"]

CPU_VARIANTS: tuple[Variant, ...] = ("NCHW", "channels-last")
CUDA_VARIANTS: tuple[Variant, ...] = ("TF32 off", "torch's defaults")  # both in NCHW, as the field runs it

_IMAGES = 100  # on whose draws labels are compared; fewer where the data holds fewer


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchSpec:
    """What to measure.

    Raises:
        InputError: A value is out of its range, or the images are not the plan's.
    """

    plan: Plan
    data: Dataset
    sigma: float
    model: str | None  # file that the plan was exported from; None: the demo's where it is that one
    backends: tuple[str, ...]
    batches: tuple[int, ...]
    threads: int
    seconds: float  # of each measurement
    probe_rows: int
    agreement_draws: int
    trust: bool

    def __post_init__(self) -> None:
        self.plan.graph(self.sigma)
        for name, batch in ((name, batch) for name in self.backends for batch in self.batches):
            self.backend(name, batch)
        if not 0 < self.seconds < math.inf:
            raise InputError(f"expected --seconds > 0, got {self.seconds}")
        if self.agreement_draws < 1:
            raise InputError(f"expected --agreement-draws of at least 1, got {self.agreement_draws}")
        shape, found = self.plan.record.inputs[0].shape, self.data.images.shape[1:]
        if found != shape:
            raise InputError(f"expected images of shape {shape} (the plan's), {self.data.name} holds {found}")

    def backend(self, name: str, batch: int) -> BackendOptions:
        """Return the options of one row."""
        return BackendOptions(
            name=name, batch=batch, threads=self.threads, probe_rows=self.probe_rows, trust=self.trust
        )

    def task(self, *, compares: bool) -> Task:
        """Return what the rows share: draws of at most 100 images, evenly spread over all."""
        count = min(_IMAGES, len(self.data))
        spread = spread_places(len(self.data), count)
        draws = Draws(
            images=self.data.images[spread],
            indices=self.data.indices[spread],
            per_image=math.ceil(self.agreement_draws / count),
        )
        return Task(
            plan=self.plan.directory,
            sigma=self.sigma,
            draws=draws,
            seconds=self.seconds,
            threads=self.threads,
            compares=compares,
        )

    def options(self) -> Options:
        """Return what the record keeps of this: names, no paths."""
        return Options(
            plan=self.plan.directory.resolve().name,
            model=None if self.model is None else Path(self.model).name,
            data=self.data.name,
            images=len(self.data),
            sigma=self.sigma,
            backends=self.backends,
            batches=self.batches,
            threads=self.threads,
            seconds=self.seconds,
            probe_rows=self.probe_rows,
            agreement_draws=self.agreement_draws,
            trust_plan=self.trust,
        )
