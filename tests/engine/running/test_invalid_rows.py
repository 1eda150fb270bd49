"""A run whose rows are too often not finite ends with a failed check, and never as so many abstentions."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

import purecert
from purecert.engine.errors import CheckError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import Plan
from purecert.engine.records.invalid_rows import InvalidRows, check_invalid
from purecert.engine.records.run import read_run
from purecert.engine.verification.verify import verify_run
from support.plans import LABEL_CONSTANTS, label_nodes, write_test_plan
from support.records import RUN, with_spec

_SHAPE = (1, 2, 3)
_WEIGHT = np.array([3, -2, 5, 1, -4, 2], np.float32)
_IMAGES = np.random.default_rng(0).integers(0, 256, (4, *_SHAPE), dtype=np.uint8)
_ASKED = {"sigma": 0.25, "n": 500, "n0": 50, "batch": 64, "threads": 1, "seed": 5}


def _lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "certificates.jsonl").read_text().splitlines()]


def _half_invalid(directory: Path, threshold: float) -> Plan:
    """Write a classifier whose logits are NaN where w . z is below ``threshold``."""
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix", "bias"], ["linear"]),
        helper.make_node("Log", ["linear"], ["logits"]),
        *label_nodes(),
    ]
    matrix, bias = np.stack([_WEIGHT, 2 * _WEIGHT], axis=1), np.full(2, -threshold, np.float32)
    return write_test_plan(directory, nodes, {"matrix": matrix, "bias": bias, **LABEL_CONSTANTS}, _SHAPE, sigma=0.25)


@pytest.mark.parametrize("answer", [purecert.certify, purecert.predict])
@pytest.mark.parametrize(("threshold", "finished"), [(1e9, 1), (0.0, 1)], ids=["all invalid", "many invalid"])
def test_a_run_of_invalid_rows_ends_and_says_so_again_when_it_is_resumed(
    tmp_path: Path, answer: Any, threshold: float, finished: int
) -> None:
    plan = _half_invalid(tmp_path / "plan", threshold)
    for resume in (False, True):
        words = rf"\d+ of \d+ rows have logits that are not finite, .*{finished} finished images stay"
        with pytest.raises(CheckError, match=words):
            answer(plan, _IMAGES, out=tmp_path / "run", resume=resume, **_ASKED)
        assert len(_lines(tmp_path / "run")) == finished
    assert "too many: " in str(purecert.read_run(tmp_path / "run"))


def test_a_whole_run_of_invalid_rows_is_marked_where_it_is_verified(tmp_path: Path) -> None:
    plan = _half_invalid(tmp_path / "plan", 0.0)
    with pytest.raises(CheckError):
        purecert.certify(plan, _IMAGES[:1], out=tmp_path / "run", **_ASKED)
    data = load_dataset(f"npz:{tmp_path / 'run' / 'images.npz'}", None)
    verified = verify_run(read_run(tmp_path / "run"), plan, data, share=1.0, threads=1)
    assert any("rows have logits that are not finite" in mark for mark in verified.unchecked.marks)


@pytest.mark.parametrize(
    ("invalid", "rows", "of", "ends"),
    [
        (0, 500, None, False),
        (1, 500, None, False),  # chance, in a run so small
        (2, 500, None, True),
        (1, 1, None, True),  # all there are
        (500, 500, 1_000_000, False),  # the first image of many: not more than a thousandth of all yet
        (1_001, 1_500, 1_000_000, True),
        (100, 100_000, None, False),
        (101, 100_000, None, True),
        (3, 5_000, 1_000, False),  # more were drawn than was thought
    ],
)
def test_invalid_rows_are_judged_against_the_whole_run(invalid: int, rows: int, of: int | None, ends: bool) -> None:
    found = InvalidRows(invalid=invalid, rows=rows)
    assert (found.problem(of=of) is not None) == ends


def test_a_run_that_goes_on_is_judged_by_what_it_may_draw_and_one_that_ended_by_what_it_drew() -> None:
    """Here: an image of nothing but invalid rows, and a run that could have drawn a thousand times as much."""
    record = replace(with_spec(RUN, n_select=100, n_estimate=99_900), data=replace(RUN.data, images=10))
    found = InvalidRows(invalid=900, rows=1_000)
    check_invalid(found, record, images=9)
    with pytest.raises(CheckError, match=r"900 of 1000 rows have logits .* its 10 finished images stay"):
        check_invalid(found, record, images=10)
