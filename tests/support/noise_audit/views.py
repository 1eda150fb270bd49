"""What is correlated of noise values: themselves, their signs, and whether they are extreme."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from support.noise_audit.law import Law

EXTREME = 2.0  # standard deviations


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A function of the values, with its exact mean and variance."""

    name: str
    x: NDArray[np.float32]
    mean: float
    variance: float


def views(q: NDArray[np.int16], law: Law) -> tuple[View, View, View]:
    """Return values, signs, and 1 where a value is beyond 2 sigma: whole numbers, so that their products add up."""
    nonzero = 1 - float(law.masses[law.values == 0].sum())
    beyond = law.beyond(EXTREME)
    is_extreme = (np.abs(q) > EXTREME * law.scale).astype(np.float32)
    return (
        View(name="values", x=q.astype(np.float32), mean=0, variance=law.moment(2)),
        View(name="signs", x=np.sign(q).astype(np.float32), mean=0, variance=nonzero),
        View(name="extremes", x=is_extreme, mean=beyond, variance=beyond * (1 - beyond)),
    )
