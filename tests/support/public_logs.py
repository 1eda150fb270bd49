"""Logs as another program writes them: SciPy's bound and quantile, Python's format, and nothing of ours."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"


def log_text(
    counts: Sequence[int], n: int, alpha: float, sigma: float, printed: Callable[[float], str] = "{:.3}".format
) -> str:
    """Return the log of images with these ``counts`` out of ``n``; every third answer is wrong."""
    lines = [HEADER]
    for index, count in enumerate(counts):
        p_lower = float(special.betaincinv(count, n - count + 1, alpha)) if count else 0.0
        radius = sigma * float(special.ndtri(p_lower))
        correct = index % 3 != 2
        certified = f"{3 if correct else 4}\t{printed(radius)}\t{int(correct)}" if radius > 0 else "-1\t0.0\t0"
        lines.append(f"{index}\t3\t{certified}\t0:00:14.172309\n")
    return "".join(lines)


def spread_counts(images: int, n: int, at_ceiling: float = 0.2, seed: int = 0) -> list[int]:
    """Return counts of images whose class probabilities are spread from .4 to 1, a share of them at nearly 1."""
    generator = np.random.default_rng(seed)
    p = np.where(generator.random(images) < at_ceiling, 1 - 0.1 / n, special.ndtr(generator.uniform(-0.2, 4, images)))
    return [int(count) for count in generator.binomial(n, p)]


def low_counts(seed: int, *, at_ceiling: bool) -> tuple[list[int], float]:
    """Return counts out of 100,000 at alpha .001, and a sigma: radii of .3 to 2.2 sigma and three high ones.

    With ``at_ceiling``, a share of further images where all draws succeeded.
    """
    generator = np.random.default_rng(seed)
    rows = int(generator.integers(500, 2001))
    quantiles = [*generator.uniform(0.3, 2.2, rows), *generator.uniform(2.6, 3.7, 3)]
    counts = np.searchsorted(_lower_quantiles(), quantiles) + 50_000
    piled = int(rows * generator.uniform(0.02, 0.2)) if at_ceiling else 0
    return [*counts.tolist(), *[100_000] * piled], (0.25, 0.5, 1.0)[seed % 3]


@cache
def _lower_quantiles() -> NDArray[np.float64]:
    counts = np.arange(50_000, 100_001)
    return np.asarray(special.ndtri(special.betaincinv(counts, 100_000 - counts + 1, 1e-3)))
