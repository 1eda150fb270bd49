"""The radii that integer counts can give: the fingerprint of a number of draws and an alpha."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from purecert.engine.statistics.bounds import certified_radius, clopper_pearson_lower

# In units of sigma. Our bounds lie up to 2e-12 below SciPy's, which is up to 2e-8 of a radius at the ceiling of 100,000
# draws; neighbouring counts are further apart than twice this up to ten million draws.
TOLERANCE = 1e-7


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """What fixes the radii that a log can show."""

    n: int  # draws that estimate
    alpha: float  # one-sided failure probability of the bound
    sigma: float  # noise std, in [0, 1] pixel units


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """The radii at sigma 1 of consecutive counts up to ``n``, increasing."""

    first_count: int
    quantiles: NDArray[np.float64]

    def radii(self, sigma: float) -> Float64[np.ndarray, " counts"]:
        """Return the radii at ``sigma``, one per count from ``first_count``, rounded down.

        The product rounds either way, but far less than the radii at sigma 1 are below the exact ones.
        """
        return sigma * self.quantiles

    def counts_between(
        self, sigma: float, lows: Float64[np.ndarray, " texts"], highs: Float64[np.ndarray, " texts"]
    ) -> tuple[Int64[np.ndarray, " texts"], Int64[np.ndarray, " texts"]]:
        """Return the least and the greatest count whose radius lies in each interval, the least above where none does.

        Intervals are widened by TOLERANCE on both sides; one with NaN holds nothing.
        """
        radii, blur = self.radii(sigma), TOLERANCE * sigma
        first = np.searchsorted(radii, lows - blur, "left")
        last = np.searchsorted(radii, highs + blur, "right") - 1
        last = np.where(np.isnan(lows) | np.isnan(highs), first - 1, last)
        return first + self.first_count, last + self.first_count


@lru_cache(maxsize=256)
def fingerprint(n: int, alpha: float) -> Fingerprint:
    """Return the radii of all counts that certify with ``n`` draws at ``alpha``; none may."""
    return _certifying(np.arange(n // 2, n + 1), n, alpha)


@lru_cache(maxsize=1024)
def top_of_fingerprint(n: int, alpha: float, counts: int) -> Fingerprint:
    """Return the radii of the ``counts`` largest counts, which are the furthest apart."""
    return _certifying(np.arange(max(n // 2, n - counts + 1), n + 1), n, alpha)


def _certifying(counts: Int64[np.ndarray, " counts"], n: int, alpha: float) -> Fingerprint:
    quantiles = certified_radius(1.0, clopper_pearson_lower(counts, n, alpha))
    certifies = quantiles > 0
    quantiles = quantiles[certifies]
    quantiles.flags.writeable = False  # it is shared
    return Fingerprint(first_count=int(counts[-1]) + 1 - int(certifies.sum()), quantiles=quantiles)
