"""Logs as another program writes them: SciPy's bound and quantile, Python's format, and nothing of ours."""

from collections.abc import Callable, Sequence

import numpy as np
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
