"""The success probabilities that a log of certificates proves: laws of votes that can be drawn, and sums over them."""

from pathlib import Path

import numpy as np
from early_stopping_real import ALPHA as _ALPHA
from numpy.typing import NDArray
from scipy import special

from purecert.engine.logs.cohen_tsv import CohenRow, read_cohen_tsv
from purecert.engine.statistics.bounds import clopper_pearson_lower

N0 = 100  # draws of the selection

Floats = NDArray[np.float64]


def laws_of(rows: tuple[CohenRow, ...], sigma: float, n: int) -> NDArray[np.float64]:
    """Return each image's law over ten classes and invalid rows: the predicted class, and one rival with the rest.

    An image that abstained has one half for its label. A wrong image's rival is its label.
    """
    k = np.arange(n // 2, n + 1)
    bounds = clopper_pearson_lower(k, n, _ALPHA)
    laws = np.zeros((len(rows), 11))
    for law, row in zip(laws, rows, strict=True):
        p = 0.5
        if row.radius:
            nearest = np.argmin(np.abs(bounds - special.ndtr(row.radius / sigma)))
            p = k[nearest] / n
        top = row.label if row.predicted is None else row.predicted
        law[top], law[row.label if top != row.label else (top + 1) % 10] = p, 1 - p
    return laws


def read_probabilities(log: Path, n: int) -> tuple[float, Floats, NDArray[np.int64]]:
    """Return the noise std in a log's name, as in noise_0.5.tsv, each probability once, and how many images have it."""
    sigma = float(log.stem.removeprefix("noise_"))
    laws = laws_of(read_cohen_tsv(log).rows, sigma, n)
    return sigma, *np.unique(np.minimum(laws.max(axis=1), 1 - 1e-9), return_counts=True)


def sums(images: NDArray[np.int64], n: int, draws: Floats, certified: Floats, by_fixed: Floats) -> dict[str, float]:
    """Return what ``images[i]`` images draw and certify whose expectations are ``draws[i]``, ``certified[i]`` and,
    of n draws, ``by_fixed[i]``.
    """
    mean = float((draws * images).sum() / images.sum())
    return {
        "mean_draws_without_n0": mean,
        "times_fewer_than_n": n / (mean + N0),
        "certified": float((certified * images).sum()),
        "certified_by_fixed": float((by_fixed * images).sum()),
    }
