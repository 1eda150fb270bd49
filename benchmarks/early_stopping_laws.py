"""The success probabilities that a log of certificates proves, as laws from which votes can be drawn."""

import numpy as np
from early_stopping_real import ALPHA as _ALPHA
from numpy.typing import NDArray
from scipy import special

from purecert.engine.logs.cohen_tsv import CohenRow
from purecert.engine.statistics.bounds import clopper_pearson_lower


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
