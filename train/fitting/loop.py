"""The training loop: step, check, average, report. What a step is, a recipe says."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor, nn

from purecert.engine.errors import CheckError
from purecert.train.schedules.noise_levels import ema_decay


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """One line of a training log."""

    stage: str
    step: int  # steps done
    steps: int
    loss: float  # mean since the line before


Reporter = Callable[[StepReport], None]


@final
class WeightAverage:
    """An exponential moving average of a module's parameters; buffers are taken as they are."""

    def __init__(self, module: nn.Module, half_life: float) -> None:
        self.module = module
        self.half_life = half_life
        self.average = [p.detach().clone() for p in module.parameters()]

    def update(self, step: int) -> None:
        """Move the average towards the parameters after ``step`` steps."""
        share = 1 - ema_decay(step, self.half_life)
        for average, parameter in zip(self.average, self.module.parameters(), strict=True):
            average.lerp_(parameter.detach(), share)

    @torch.no_grad()
    def store(self) -> None:
        """Write the average into the module."""
        for parameter, average in zip(self.module.parameters(), self.average, strict=True):
            parameter.copy_(average)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How one network is fitted."""

    stage: str  # what the log calls it
    steps: int
    learning_rate: float
    half_life: float  # of the weight average, in steps
    weight_decay: float = 0.0
    warm_up: int = 100  # steps of linear increase before the cosine decay to zero
    report_every: int = 200

    def __post_init__(self) -> None:
        if self.steps < 1 or self.report_every < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps} and {self.report_every}")

    def scaled(self, factor: float) -> "Fit":
        """Return the plan with ``factor`` times the steps, at least one."""
        return replace(self, steps=max(1, round(self.steps * factor)))

    def rate(self, step: int) -> float:
        """Return the learning rate at ``step``, counted from 0."""
        ramp = min(1.0, (step + 1) / max(1, self.warm_up))
        return self.learning_rate * ramp * 0.5 * (1 + math.cos(math.pi * step / self.steps))


def fit(module: nn.Module, objective: Callable[[int], Tensor], plan: Fit, report: Reporter) -> None:
    """Minimise ``objective(step)`` over the module's parameters and leave their average in it, in eval mode.

    Raises:
        CheckError: A loss is not finite.
    """
    module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    average = WeightAverage(module, plan.half_life)
    since_report: list[float] = []
    for step in range(plan.steps):
        since_report.append(_descend(optimizer, objective(step), plan.rate(step)))
        average.update(step + 1)
        if not math.isfinite(since_report[-1]):
            raise CheckError(f"{plan.stage}: the loss at step {step} is {since_report[-1]}; lower the learning rate")
        if (step + 1) % plan.report_every == 0 or step + 1 == plan.steps:
            mean = sum(since_report) / len(since_report)
            report(StepReport(stage=plan.stage, step=step + 1, steps=plan.steps, loss=mean))
            since_report.clear()
    average.store()
    module.eval()


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> float:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.item()
