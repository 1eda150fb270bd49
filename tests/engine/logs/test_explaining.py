"""Settings recovered from logs that SciPy and Python wrote, and honesty where they cannot be."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.errors import InputError
from purecert.engine.logs.checking import LogCheck, Question, check_log
from purecert.engine.logs.cohen_tsv import format_cohen_tsv
from purecert.engine.logs.fingerprint import Sampling, fingerprint
from purecert.engine.logs.reading import read_log
from purecert.engine.procedures.outcomes import Certificate
from purecert.engine.records.lines import Line
from support.public_logs import HEADER, log_text, spread_counts

pytestmark = pytest.mark.slow  # thousands of settings

_QUESTION = Question(radii=(0.0, 0.25))


def _check(tmp_path: Path, text: str, question: Question = _QUESTION, name: str = "log.tsv") -> LogCheck:
    path = tmp_path / name
    path.write_text(text)
    return check_log(read_log(path), question)


@pytest.mark.parametrize(
    ("n", "alpha", "sigma", "name", "printed"),
    [
        (100_000, 1e-3, 0.25, "{:.3}", "{:.3}".format),
        pytest.param(100_000, 1e-2, 0.5, "{:.4f}", "{:.4f}".format, marks=pytest.mark.nightly),
        pytest.param(50_000, 5e-4, 1.0, "{:.5f}", "{:.5f}".format, marks=pytest.mark.nightly),
        (10_000, 1e-3, 0.12, "all digits", repr),
        (10_000, 1e-3, 0.5, "round(radius, 4)", lambda radius: repr(round(radius, 4))),
        (1000, 0.05, 1.0, "{:.3f} rounded down", lambda radius: f"{np.floor(radius * 1000) / 1000:.3f}"),
        (1000, 1e-3, 1.0, "{:.3f} rounded up", lambda radius: f"{np.ceil(radius * 1000) / 1000:.3f}"),
    ],
)
def test_settings_of_a_log_are_recovered(
    tmp_path: Path, n: int, alpha: float, sigma: float, name: str, printed: Callable[[float], str]
) -> None:
    check = _check(tmp_path, log_text(spread_counts(2000, n), n, alpha, sigma, printed))
    assert check.told is not None
    assert check.told.sampling == Sampling(n=n, alpha=alpha, sigma=sigma)
    assert [str(form) for form in check.told.formats] == [name]
    assert (check.unexplained, check.contradictions) == ((), ())
    assert check.told.rows_at_ceiling > 300


def test_counts_of_an_unrounded_log_are_exact(tmp_path: Path) -> None:
    counts = spread_counts(500, 10_000)
    check = _check(tmp_path, log_text(counts, 10_000, 1e-3, 0.5, repr))
    assert check.told is not None
    found = dict(zip(check.told.texts, zip(check.told.least, check.told.most, strict=True), strict=True))
    least = fingerprint(10_000, 1e-3).first_count
    certified = [row.printed for row in check.log.certified]
    assert [found[text or ""] for text in certified] == [(count, count) for count in counts if count >= least]


def test_our_own_log_is_explained_as_rounded_down(tmp_path: Path) -> None:
    marks = fingerprint(10_000, 1e-3)
    counts = np.clip(spread_counts(500, 10_000), marks.first_count, None)
    radii = marks.radii(0.5)[counts - marks.first_count]
    rows = [
        Line(index=i, label=3, outcome=Certificate(predicted=3, p_lower=0.9, radius=float(radius)), counts=({}, {}))
        for i, radius in enumerate(radii)
    ]
    check = _check(tmp_path, format_cohen_tsv(rows, {}))
    assert check.told is not None
    assert [str(form) for form in check.told.formats] == ["{:.4f} rounded down"]
    assert check.told.sampling == Sampling(n=10_000, alpha=1e-3, sigma=0.5)


@pytest.mark.parametrize(
    "forged",
    ["0.94", "0.0", *(pytest.param(text, marks=pytest.mark.nightly) for text in ("0.96", "1.2", "0.9000", "٣"))],
)
def test_forged_row_is_named(tmp_path: Path, forged: str) -> None:
    text = log_text(spread_counts(2000, 100_000), 100_000, 1e-3, 0.25)
    check = _check(tmp_path, text + f"2000\t3\t3\t{forged}\t1\t0:00:14\n")
    assert check.told is not None
    assert check.told.sampling == Sampling(n=100_000, alpha=1e-3, sigma=0.25)
    assert [(row.index, row.printed) for row in check.unexplained] == [(2000, forged)]
    # It certifies nothing where counts are asked for.
    printed, least = check.accuracies
    assert least.abstained[0] == printed.abstained[0] + 1


def test_settings_that_are_given_are_taken(tmp_path: Path) -> None:
    text = log_text(spread_counts(500, 30_000), 30_000, 1e-3, 0.75)
    unknown = _check(tmp_path, text)
    assert unknown.told is None or unknown.unexplained
    check = _check(tmp_path, text, Question(radii=(0.0,), n=30_000, alpha=1e-3, sigma=0.75))
    assert check.told is not None
    assert check.unexplained == ()
    wrong = _check(tmp_path, text, Question(radii=(0.0,), n=30_000, alpha=1e-2, sigma=0.75))
    assert wrong.unexplained


def test_few_rows_have_several_explanations_and_none_is_chosen(tmp_path: Path) -> None:
    check = _check(tmp_path, log_text([80_000, 90_000, 70_000], 100_000, 1e-3, 0.25))
    assert len(check.settings) > 1
    assert check.told is None
    assert Sampling(n=100_000, alpha=1e-3, sigma=0.25) in [each.sampling for each in check.settings]
    assert [each.how for each in check.accuracies] == ["as printed"]


def test_name_of_the_file_only_breaks_ties_and_this_is_told(tmp_path: Path) -> None:
    text = log_text([80_000, 90_000, 70_000], 100_000, 1e-3, 0.25)
    check = _check(tmp_path, text, name="noise_0.25.tsv")
    assert check.told_by_name
    assert {each.sampling.sigma for each in check.settings} == {0.25}
    long = log_text(spread_counts(2000, 100_000), 100_000, 1e-3, 0.25)
    misnamed = _check(tmp_path, long, name="noise_0.5.tsv")
    assert misnamed.told is not None
    assert misnamed.told.sampling.sigma == 0.25
    assert not misnamed.told_by_name


def test_log_that_abstains_throughout_cannot_be_told(tmp_path: Path) -> None:
    check = _check(tmp_path, log_text([50_000] * 20, 100_000, 1e-3, 0.25))
    assert (check.settings, check.told, check.unexplained) == ((), None, ())


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("0\t3\t3\t0.377\t1\t1.0\n0\t3\t3\t0.377\t1\t1.0\n", "image 0: 2 rows, where an image has one"),
        ("0\t3\t5\t0.377\t1\t1.0\n", "image 0: label 3, predict 5, correct 1"),
        ("0\t3\t3\t0.377\t0\t1.0\n", "image 0: label 3, predict 3, correct 0"),
        ("0\t3\t-1\t0.377\t0\t1.0\n", "image 0: it abstains with the radius 0.377"),
    ],
)
def test_row_that_no_run_writes_is_a_contradiction(tmp_path: Path, rows: str, words: str) -> None:
    assert words in _check(tmp_path, HEADER + rows).contradictions


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--n", {"n": 0}),
        ("--thin", {"thin": 0}),
        ("--alpha", {"alpha": 0.5}),
        ("--recertify", {"recertify": float("nan")}),
        ("--sigma", {"sigma": 0.0}),
        ("--every", {"every": 0}),
        ("--seed", {"seed": -1}),
    ],
)
def test_question_out_of_range_is_refused(option: str, values: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"{option}: expected a value in"):
        Question(radii=(0.0,), **values)  # type: ignore[arg-type]  # the wrong type is the point
