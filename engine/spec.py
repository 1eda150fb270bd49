"""What to certify and how: the numbers that fix a run's statistics."""

import math
from dataclasses import dataclass
from typing import Literal

from purecert.engine.errors import InputError

# A draw is addressed by 32 bits (kernels/README.md).
MAX_DRAWS = 2**32 - 1
# Beyond half, a "lower bound" would be wrong more often than right.
MAX_ALPHA = 0.5

Mode = Literal["certify", "predict"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SmoothingSpec:
    """The sampling plan of one certificate, or of one prediction.

    Raises:
        InputError: A number is out of its range.
    """

    mode: Mode
    sigma: float  # noise std, in [0, 1] pixel units
    n_select: int = 100  # draws that pick the class (n0); none are drawn to predict
    n_estimate: int = 100_000  # fresh draws that bound its probability (n), or that vote in a prediction
    alpha: float = 1e-3  # failure probability of one certificate

    def __post_init__(self) -> None:
        _require(self.sigma > 0 and math.isfinite(self.sigma), "sigma > 0 in [0, 1] pixel units", self.sigma)
        _require(0 < self.alpha < MAX_ALPHA, f"alpha in (0, {MAX_ALPHA})", self.alpha)
        _require(1 <= self.n_estimate <= MAX_DRAWS, f"n in [1, {MAX_DRAWS}]", self.n_estimate)
        _require(1 <= self.n_select <= MAX_DRAWS, f"n0 in [1, {MAX_DRAWS}]", self.n_select)
        if self.mode == "certify":
            # alpha^(1/n) is the bound when every draw agrees; at 1/2 or below nothing can be certified.
            can_certify = self.n_estimate * -math.log(2) < math.log(self.alpha)
            _require(
                can_certify, f"n > log2(1 / alpha) = {-math.log2(self.alpha):.1f} to certify anything", self.n_estimate
            )


def _require(condition: bool, expected: str, came: float) -> None:
    if not condition:
        raise InputError(f"expected {expected}, got {came}")
