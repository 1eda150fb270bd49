"""Every number of how one network is fitted."""

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from purecert.train.fitting.keeping.configuration import FREE
from purecert.train.fitting.plans.averages import Average, HalfLife
from purecert.train.fitting.plans.optimizers import AdamW, Optimizer
from purecert.train.fitting.plans.rates import Cosine, Schedule

_STAGE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")  # it names a folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How one network is fitted: what decides its weights, then how often progress is reported and saved."""

    stage: str  # what the log and the stage's folder call it: small letters, digits, hyphens
    steps: int
    learning_rate: float
    optimizer: Optimizer = field(default_factory=AdamW)
    schedule: Schedule = field(default_factory=Cosine)
    average: Average = field(default_factory=lambda: HalfLife(steps=0.0))
    clip: float | None = None  # the largest L2 norm of a gradient; a larger one is shortened to it
    clip_after: int = 0  # steps: the first ones are not clipped
    layer_decay: float = 1.0  # a layer learns at so much of the rate of the one above it; the uppermost at the whole
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16: autocast; weights, averages and the optimiser stay FP32
    report_every: int = field(default=200, metadata=FREE)  # steps
    save_every: int = field(default=500, metadata=FREE)  # steps

    def __post_init__(self) -> None:
        if not _STAGE.fullmatch(self.stage):
            raise ValueError(f"stage must be small letters, digits and hyphens, got {self.stage!r}")
        if min(self.steps, self.report_every, self.save_every) < 1:
            counts = (self.steps, self.report_every, self.save_every)
            raise ValueError(f"steps, report_every and save_every must be at least 1, got {counts}")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate must be finite and > 0, got {self.learning_rate}")
        if self.clip is not None and not 0 < self.clip < float("inf"):
            raise ValueError(f"clip must be finite and > 0, or None, got {self.clip}")
        if self.clip_after < 0 or not 0 < self.layer_decay <= 1:
            told = (self.clip_after, self.layer_decay)
            raise ValueError(f"clip_after must be at least 0 and layer_decay in (0, 1], got {told}")
        if self.precision not in ("fp32", "bf16"):
            raise ValueError(f"precision must be fp32 or bf16, got {self.precision!r}")

    def scaled(self, factor: float) -> "Fit":
        """Return the plan with ``factor`` times the steps, at least one."""
        return replace(self, steps=max(1, round(self.steps * factor)))

    def rate(self, step: int) -> float:
        """Return the learning rate at ``step``, counted from 0."""
        return self.learning_rate * self.schedule.share(step, self.steps)

    def longest(self, step: int) -> float | None:
        """Return the L2 norm that a gradient is shortened to at ``step``, counted from 0; None: it stays as it is."""
        return self.clip if step >= self.clip_after else None
