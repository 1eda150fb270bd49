"""Thinned and newly certified counts: moments, enumeration and bounds that are known exactly."""

from fractions import Fraction
from math import comb, sqrt
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.errors import InputError
from purecert.engine.logs.accuracy import best_at_each_radius, certified_accuracy
from purecert.engine.logs.checking import REPEATS, Question, check_log
from purecert.engine.logs.fingerprint import Sampling, fingerprint
from purecert.engine.logs.reading import read_log
from purecert.engine.logs.thinning import radii_of_counts, revival_probability, thinned
from support.public_logs import log_text, spread_counts

pytestmark = pytest.mark.slow  # thousands of logs


def test_thinned_counts_have_the_moments_of_draws_without_replacement() -> None:
    n, kept, successes, repeats = 10_000, 1000, 9000, 20_000
    counts = thinned(np.array([successes]), n, kept, (0,), repeats)[:, 0]
    p = successes / n
    variance = kept * p * (1 - p) * (n - kept) / (n - 1)
    assert counts.mean() == pytest.approx(kept * p, abs=4 * sqrt(variance / repeats))
    assert counts.var() == pytest.approx(variance, rel=4 * sqrt(2 / repeats))


def test_the_same_seed_keeps_the_same_draws() -> None:
    counts = np.array([60_000, 99_000])
    one, same, other = (thinned(counts, 100_000, 1000, seed, 5) for seed in ((7, 0), (7, 0), (7, 1)))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_all_successes_stay_all_successes() -> None:
    assert (thinned(np.array([1000]), 1000, 100, (0,), 5) == 100).all()


def test_counts_have_the_radii_of_the_bound_and_none_below_it() -> None:
    marks, sampling = fingerprint(1000, 1e-3), Sampling(n=1000, alpha=1e-3, sigma=0.5)
    radii = radii_of_counts(np.array([0, marks.first_count - 1, marks.first_count, 1000]), sampling)
    assert radii[:2].tolist() == [0.0, 0.0]
    assert radii[2] > 0
    assert radii[3] == marks.radii(0.5)[-1]


@pytest.mark.parametrize(("n", "kept", "alpha"), [(200, 50, 0.05), (500, 100, 0.01), (300, 299, 0.001)])
def test_chance_that_an_abstention_is_revived_is_the_exact_tail(n: int, kept: int, alpha: float) -> None:
    first, second = Sampling(n=n, alpha=alpha, sigma=1.0), Sampling(n=kept, alpha=alpha, sigma=1.0)
    successes, least = fingerprint(n, alpha).first_count - 1, fingerprint(kept, alpha).first_count
    ways = sum(comb(successes, k) * comb(n - successes, kept - k) for k in range(least, kept + 1))
    assert revival_probability(first, second) == pytest.approx(float(Fraction(ways, comb(n, kept))), rel=1e-9)


def test_revival_at_another_alpha_is_certain_or_impossible() -> None:
    loose, tight = Sampling(n=1000, alpha=0.05, sigma=1.0), Sampling(n=1000, alpha=1e-3, sigma=1.0)
    assert revival_probability(tight, loose) == pytest.approx(1.0)
    assert revival_probability(loose, tight) == 0.0


def test_accuracy_counts_right_images_at_least_as_wide() -> None:
    correct = np.array([True, True, True, False, True])
    reached = np.array([[0.25, 0.2499, 1.0, 2.0, -1.0]])
    found = certified_accuracy("log", "as printed", None, (0.0, 0.25, 0.3, 1.0), correct, reached)
    assert found.certified.tolist() == [[3, 2, 1, 1]]
    assert found.abstained.tolist() == [1]
    assert found.average_radius == pytest.approx((0.25 + 0.2499 + 1.0) / 5)


def test_radius_is_the_decimal_that_was_typed() -> None:
    # The double nearest to 0.3 lies below three tenths.
    reached = np.array([[0.3, np.nextafter(0.3, 1)]])
    found = certified_accuracy("log", "as printed", None, (0.3,), np.array([True, True]), reached)
    assert found.certified.tolist() == [[1]]


def test_best_of_logs_is_chosen_per_repetition() -> None:
    one, other = (
        certified_accuracy("log", "certified anew", None, (0.0, 0.5), np.array([True, True]), np.array(reached))
        for reached in ([[0.6, -1.0], [0.6, 0.6]], [[0.1, 0.1], [0.1, -1.0]])
    )
    assert best_at_each_radius([one, other]).certified.tolist() == [[2, 1], [2, 2]]


def test_certifying_anew_never_gains_but_by_a_looser_alpha(tmp_path: Path) -> None:
    path = tmp_path / "log.tsv"
    path.write_text(log_text(spread_counts(1000, 10_000), 10_000, 1e-3, 0.5))
    log = read_log(path)

    def lines(**options: float) -> list[float]:
        check = check_log(log, Question(radii=(0.0, 0.25, 1.0), **options))  # type: ignore[arg-type]  # n is an int
        assert check.told is not None
        _, least, anew = check.accuracies
        return (anew.certified.mean(axis=0) - least.certified[0]).tolist()

    assert max(lines(recertify=1e-6)) <= 0
    assert max(lines(thin=1000)) <= 0
    assert min(lines(recertify=0.05)) >= 0
    assert lines(thin=10_000) == [0, 0, 0]


def test_unthinned_line_holds_one_repetition_and_a_thinned_one_many(tmp_path: Path) -> None:
    path = tmp_path / "log.tsv"
    path.write_text(log_text(spread_counts(1000, 10_000), 10_000, 1e-3, 0.5))
    check = check_log(read_log(path), Question(radii=(0.0,), thin=1000))
    assert [len(each.certified) for each in check.accuracies] == [1, 1, REPEATS]
    with pytest.raises(InputError, match=r"--thin: .* has 10000 draws, expected at most as many, got 10001"):
        check_log(read_log(path), Question(radii=(0.0,), thin=10_001))
