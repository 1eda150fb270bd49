"""Published logs: each row of them is explained, and the paper's table comes out of them thinned."""

from functools import cache
from pathlib import Path

import pytest

from purecert.engine.logs.accuracy import best_at_each_radius
from purecert.engine.logs.checking import LogCheck, Question, check_log
from purecert.engine.logs.fingerprint import Sampling
from purecert.engine.logs.reading import read_log
from support.shared_files import shared

pytestmark = pytest.mark.shared

_RADII = (0.0, 0.25, 0.5, 0.75, 1.0)
# Consistency Purification, Table 3, "Randomized Smoothing": every 20th image, n = 10,000, best sigma at each radius.
_PAPER = (74.8, 59.2, 42.0, 31.8, 22.0)


@cache
def _checked(path: Path, question: Question) -> LogCheck:
    return check_log(read_log(path), question)


@pytest.mark.slow
@pytest.mark.nightly
def test_every_published_row_is_explained_by_a_hundred_thousand_draws() -> None:
    logs = shared("data/logs")
    paths = sorted([*logs.glob("catrs/**/*.tsv"), *logs.glob("consistency/imagenet/noise_*")])
    rows = certified = 0
    for path in paths:
        check = _checked(path, Question(radii=_RADII))
        assert check.told is not None, path
        sigma = float(path.name.removesuffix(".tsv").removeprefix("noise_"))
        assert check.told.sampling == Sampling(n=100_000, alpha=1e-3, sigma=sigma)
        assert [str(form) for form in check.told.formats] == ["{:.3}"]
        assert (check.unexplained, check.contradictions, check.told_by_name) == ((), (), False), path
        rows += len(check.log.rows)
        certified += len(check.log.certified)
    assert rows == 91_500
    assert certified > 80_000


@pytest.mark.slow
@pytest.mark.nightly
def test_table_of_the_paper_comes_out_of_thinned_logs() -> None:
    question = Question(radii=_RADII, thin=10_000, every=20)
    logs = shared("data/logs/catrs/cifar10")
    anew = [
        check_log(read_log(logs / f"noise_{sigma}/cohen/noise_{sigma}.tsv"), question, position)
        for position, sigma in enumerate(("0.25", "0.5", "1.0"))
    ]
    best = best_at_each_radius([check.accuracies[-1] for check in anew])
    assert best.images == 500
    accuracies = 100 * best.certified.mean(axis=0) / best.images
    assert accuracies == pytest.approx(_PAPER, abs=0.5)


def test_run_cut_short_is_too_short_to_be_told() -> None:
    path = shared("data/logs/consistency/cifar10/truncated_noise_0.50_1149")
    check = _checked(path, Question(radii=_RADII))
    assert check.told is None
    assert Sampling(n=100_000, alpha=1e-3, sigma=0.5) in [each.sampling for each in check.settings]
    told = _checked(path, Question(radii=_RADII, alpha=1e-3)).told
    assert told is not None
    assert told.sampling == Sampling(n=100_000, alpha=1e-3, sigma=0.5)
