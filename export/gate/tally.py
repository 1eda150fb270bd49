"""Votes of a plan against those of eager FP32, as numbers with limits."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.vote_limits import LIMITS
from purecert.engine.errors import CheckError
from purecert.engine.plans.plan import Parity, Precision


@dataclass(kw_only=True, slots=True)
class Tally:
    """What one candidate has shown so far.

    Per image and sigma, net loss = (votes of eager's majority class in eager minus in the plan) / draws: what a
    certificate loses, which outputs compared within a tolerance would not show.
    """

    backend: str
    executed_precision: Precision
    draws: int = 0
    same: int = 0
    losses: list[float] = field(default_factory=list)  # per image and sigma
    worst: str = ""  # which of them was the largest

    def add(self, eager: NDArray[np.int32], labels: NDArray[np.int32], where: str) -> None:
        """Count the draws of one image at one sigma."""
        self.draws += len(eager)
        self.same += int((eager == labels).sum())
        majority = int(np.bincount(eager + 1).argmax()) - 1  # shifted, since invalid rows are -1
        loss = (int((eager == majority).sum()) - int((labels == majority).sum())) / len(eager)
        if not self.losses or loss > max(self.losses):
            self.worst = where
        self.losses.append(loss)

    def parity(self, images: int, *, reduced: bool) -> Parity:
        """Return the counts as plan.json records them."""
        return Parity(
            backend=self.backend,
            executed_precision=self.executed_precision,
            draws=self.draws,
            images=images,
            agreement=self.same / self.draws,
            net_loss_mean=float(np.mean(self.losses)),
            net_loss_worst=max(self.losses),
            reduced=reduced,
            files=(),
        )


def describe(parity: Parity) -> str:
    """Return ``parity`` as text: agreement rounded down, losses rounded up."""
    return (
        f"{parity.backend} ({parity.executed_precision}): {parity.draws} draws of {parity.images} images, agreement "
        f"{_percent(parity.agreement, math.floor)}, net loss mean {_percent(parity.net_loss_mean, math.ceil)}, "
        f"worst image {_percent(parity.net_loss_worst, math.ceil)}" + (", parity: reduced" if parity.reduced else "")
    )


def check_limits(parity: Parity, precision: Precision) -> None:
    """Refuse a plan of ``precision`` that loses too much, or in a reduced gate surely more than its limits.

    Raises:
        CheckError: Agreement or mean net loss is beyond its limit.
    """
    limits = LIMITS[precision]
    if parity.reduced:
        limits = limits.for_few_draws(parity.draws)
    if parity.agreement >= limits.agreement and parity.net_loss_mean <= limits.net_loss:
        return
    way_out = "; export with --precision fp32" if precision != "fp32" else ""
    raise CheckError(
        f"the {precision} plan does not vote like eager FP32: expected agreement >= {limits.agreement:.2%} and "
        f"mean net loss <= {limits.net_loss:.2%}, found on {describe(parity)}; no plan was written{way_out}"
    )


def _percent(share: float, towards: Callable[[float], int]) -> str:
    return f"{towards(share * 1e5) / 1e3:.3f} %"
