"""Genuine logs that are not called forged, and forged ones that are: gaps and ceilings weigh where rows are."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.commands.verify import verify_command
from purecert.engine.logs.checking import LogCheck, Question, check_log
from purecert.engine.logs.explaining import ACCUSING_ODDS, TELLING_ODDS, Explanation, explanations, possible_settings
from purecert.engine.logs.fingerprint import Sampling
from purecert.engine.logs.printing import candidate_readings
from purecert.engine.logs.reading import read_log
from support.public_logs import log_text, low_counts

_QUESTION = Question(radii=(0.0,))


def _check(tmp_path: Path, text: str, question: Question = _QUESTION) -> LogCheck:
    path = tmp_path / "log.tsv"
    path.write_text(text)
    return check_log(read_log(path), question)


def _assert_told_or_open(tmp_path: Path, seed: int, at_ceiling: bool) -> None:
    counts, sigma = low_counts(seed, at_ceiling=at_ceiling)
    # Every ninth log is tried at all sigmas, the others at the right one, which is four times as fast.
    question = _QUESTION if seed % 9 == 0 else Question(radii=(0.0,), sigma=sigma)
    check = _check(tmp_path, log_text(counts, 100_000, 1e-3, sigma), question)
    assert Sampling(n=100_000, alpha=1e-3, sigma=sigma) in [each.sampling for each in check.settings], seed
    assert check.unexplained == (), seed
    if at_ceiling:
        assert {each.sampling.n for each in check.settings} == {100_000}, seed


@pytest.mark.parametrize("at_ceiling", [False, pytest.param(True, marks=[pytest.mark.slow, pytest.mark.nightly])])
def test_a_genuine_log_with_few_high_rows_is_told_or_left_open(tmp_path: Path, at_ceiling: bool) -> None:
    for seed in (0, 1, 2):
        _assert_told_or_open(tmp_path, seed, at_ceiling)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("at_ceiling", [False, True])
def test_all_genuine_logs_with_few_high_rows_are_told_or_left_open(tmp_path: Path, at_ceiling: bool) -> None:
    for seed in range(3, 50):
        _assert_told_or_open(tmp_path, seed, at_ceiling)


@pytest.mark.parametrize("sigma", [0.25, 1.0])
def test_ceiling_that_rows_pile_up_at_is_told_from_one_above_it(tmp_path: Path, sigma: float) -> None:
    # All of these are printed by an alpha of .01 too, whose ceiling is higher and has no rows.
    counts, _ = low_counts(0, at_ceiling=True)
    text = log_text(counts, 100_000, 1e-3, sigma, "{:.2f}".format)
    check = _check(tmp_path, text, Question(radii=(0.0,), n=100_000, sigma=sigma))
    assert {each.sampling.alpha for each in check.settings} <= {0.002, 0.001, 0.0005}
    assert all(each.rows_at_ceiling >= counts.count(100_000) for each in check.settings)


def test_rounding_up_is_left_open_but_never_preferred_without_need() -> None:
    readings = candidate_readings(Counter(f"{radius:.3}" for radius in np.linspace(0.31, 0.79, 300)))
    found = {
        reading.formats[0].rounding: explanations([reading], (100_000,), (1e-3,), (0.25,))[0].log_likelihood
        for reading in readings
    }
    # Every text of three digits is printable here, so only what is known of programs tells the ways to round apart.
    assert 2 < found["nearest"] - found["down"] < 4
    assert 4 < found["nearest"] - found["up"] < math.log(TELLING_ODDS)


@pytest.mark.parametrize(("odds", "is_open"), [(ACCUSING_ODDS / 10, True), (ACCUSING_ODDS * 10, False)])
def test_setting_that_explains_every_row_is_left_open_unless_it_is_far_less_likely(odds: float, is_open: bool) -> None:
    reading = candidate_readings({"0.5": 1, "0.94": 1})[0]
    whole, flawed = explanations([reading], (100_000,), (1e-3,), (0.25, 1.0))[:2]
    if not whole.explains_every_row:
        whole, flawed = flawed, whole
    assert whole.explains_every_row
    assert not flawed.explains_every_row
    ranked = [_at(flawed, 0.0), _at(whole, -math.log(odds))]
    assert any(each.explains_every_row for each in possible_settings(ranked)) == is_open
    # A setting that does not explain all gains nothing by this.
    assert len(possible_settings([_at(flawed, 0.0), _at(flawed, -math.log(odds))])) == 1


def test_accusation_names_the_setting_that_would_explain_every_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.tsv"
    counts, sigma = low_counts(0, at_ceiling=True)
    path.write_text(log_text(counts, 100_000, 1e-3, sigma) + "9999\t3\t3\t0.94\t1\t0:00:14\n")
    arguments = ["--log", str(path), "--n", "100000", "--alpha", "0.001"]
    for extra in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            verify_command([*arguments, *extra])
        assert ended.value.code == 4
        out, err = capsys.readouterr()
        assert "image 9999, 0.94; all would follow from n = 100000, alpha = 0.001, sigma = 0.5, printed" in err
        if extra:
            assert json.loads(out)["every_row_would_follow_from"]["sigma"] == 0.5
        else:
            assert "every row would follow from n = 100000, alpha = 0.001, sigma = 0.5, printed" in out


def test_sigma_in_a_name_does_not_accuse(tmp_path: Path) -> None:
    # 0.94 is no radius of sigma .25, and one of sigma 1: too short a log to call it forged by its name.
    path = tmp_path / "noise_0.25.tsv"
    path.write_text(log_text([80_000, 90_000], 100_000, 1e-3, 0.25) + "9\t3\t3\t0.94\t1\t0:00:14\n")
    check = check_log(read_log(path), Question(radii=(0.0,), n=100_000, alpha=1e-3))
    assert check.unexplained == ()


def _at(explanation: Explanation, log_likelihood: float) -> Explanation:
    return replace(explanation, log_likelihood=log_likelihood)
