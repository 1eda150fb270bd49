"""Fewer draws of a finished run, chosen at random: an honest subsample that no person chooses.

Draws of one image are exchangeable where every row is classified alike. So a part of them, chosen without replacement
and without a look at what they showed, counts as a run of so few draws would have (multivariate hypergeometric).
"""

from collections.abc import Mapping

import numpy as np

from purecert.engine.files.canonical import sha256_hex
from purecert.engine.records.run import Run

MOST_DRAWS = 10**9 - 1  # that NumPy can choose from


def thinning_seed(run: Run, n: int) -> str:
    """Return the seed of the choice of ``n`` draws of ``run``, 64 hexadecimal digits.

    A digest of run.json, which was written before the first draw, and of n: it cannot be chosen after the results.
    """
    return sha256_hex(f"purecert.thinning/1 {run.digest} {n}".encode())


def thinned(counts: Mapping[str, int], n: int, seed: str, image: int) -> dict[str, int]:
    """Return how ``n`` of an image's draws count, chosen at random without replacement; zeros are left out.

    Args:
        counts: Class (as text) or "invalid" -> draws.
        n: Draws to keep, at most as many as there are.
        seed: As ``thinning_seed`` gives it.
        image: Index of the image, whose choice is independent of that of others.
    """
    generator = np.random.default_rng((int(seed, 16), image))
    names = sorted(counts)  # in one order, whatever the order in the file
    assert 0 <= n <= sum(counts.values())
    chosen = generator.multivariate_hypergeometric([counts[name] for name in names], n, method="marginals")
    return {name: count for name, count in zip(names, chosen.tolist(), strict=True) if count}
