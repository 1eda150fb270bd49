"""Fewer draws of a run: their law against counting, and that they cannot be chosen after the results."""

from collections import Counter
from dataclasses import replace
from itertools import product
from math import comb

import pytest
from scipy import stats

from purecert.engine.questions.thinning import thinned, thinning_seed
from support.written_runs import mixed_run


def test_kept_draws_have_the_law_of_draws_without_replacement() -> None:
    """Seven draws of three classes and an invalid one, of which four are kept: 4,000 images against every way."""
    counts, kept, images = {"0": 3, "1": 2, "2": 1, "invalid": 1}, 4, 4000
    seed = thinning_seed(mixed_run([1.0]), kept)
    drawn = Counter(
        tuple(thinned(counts, kept, seed, image).get(name, 0) for name in counts) for image in range(images)
    )
    ways = {
        part: comb(3, part[0]) * comb(2, part[1]) * comb(1, part[2]) * comb(1, part[3]) / comb(7, 4)
        for part in product(range(4), range(3), range(2), range(2))
        if sum(part) == kept
    }
    assert drawn.keys() <= ways.keys()
    distance = sum((drawn[part] - images * p) ** 2 / (images * p) for part, p in ways.items())
    assert distance < stats.chi2.isf(1e-6, len(ways) - 1)


def test_an_images_draws_are_fixed_by_the_run_the_number_and_the_image_alone() -> None:
    counts = {"0": 500, "1": 300, "invalid": 200}
    run = mixed_run([1.0])
    seed = thinning_seed(run, 100)
    assert thinned(counts, 100, seed, 7) == thinned(dict(reversed(counts.items())), 100, seed, 7)
    others = {tuple(thinned(counts, 100, s, i).items()) for s, i in ((seed, 7), (seed, 8), (thinning_seed(run, 99), 7))}
    assert len(others) == 3
    assert sum(thinned(counts, 100, seed, 7).values()) == 100
    assert thinned(counts, 1000, seed, 7) == counts
    assert thinned({"3": 1000}, 10, seed, 7) == {"3": 10}


@pytest.mark.parametrize("digest", ["1" * 64, "2" * 64])
def test_the_seed_is_a_digest_of_run_json(digest: str) -> None:
    run = mixed_run([1.0])
    assert thinning_seed(replace(run, digest=digest), 10) != thinning_seed(run, 10)
    assert thinning_seed(replace(run, lines=()), 10) == thinning_seed(run, 10)  # whatever came out
