"""What was not checked is said: marks, the run's own word, the odds of escape; a log beside the run is compared."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from purecert.engine.logs.cohen_tsv import write_cohen_tsv
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.run import read_run
from support.forgery import rewrite, unchanged
from support.verifying import IMAGES, certified_run, plane_and_images, verify


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unchecked")
    spec = SmoothingSpec(mode="certify", sigma=0.5, n_select=20, n_estimate=200)
    certified_run(*plane_and_images(folder), folder / "run", spec, seed=3)
    return folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_marks_odds_and_what_no_verification_sees_are_printed(run: Path) -> None:
    said = verify(run, "--share", "0.1").expect(0).out
    assert "mark: seed given" in said
    assert "mark: not gated" in said
    assert "mark: row check reduced: 256 rows" in said
    assert "not replayed: 21 images; a forgery of 1, 2, 5 of 24 escapes with probability 0.875, 0.761, 0.479" in said
    assert "no verification sees: a seed, images' indices or a number of images tried until they suited;" in said
    assert "looks of" not in said  # of a fixed n there is one
    assert len(said.splitlines()) <= 14
    assert "seed_given" not in said
    everything = json.loads(verify(run, "--share", "0.1", "--json").expect(0).out)["unchecked"]
    assert [escape["rows"] for escape in everything["escapes"]] == [1, 2, 5]
    assert len(everything["marks"]) == 3


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"seed_given": False}, 0, "the run's own word: seed_given = false"),
        ({"gated": True}, 4, "run.json states gated = True, plan and data make it False"),
        ({"purecert": "9.9"}, 0, "purecert = 9.9, which is"),
        ({"data": {"slice": "[0:24] of 25"}}, 4, "[0:24] of 25"),
        ({"data": {"slice": None}}, 0, "data.slice: not recorded"),
        ({"backend": {"placement": "static"}}, 2, "at multiples of 128 under static placement"),
        ({"backend": {"probed": "labels"}}, 4, "backend.probed = labels, the same engine opened here makes it logits"),
        ({"backend": {"executed_precision": "fp16"}}, 4, "run.json states"),
        ({"backend": {"nodes": {}}}, 4, "run.json states backend.nodes.CPUExecutionProvider = none"),
        ({"backend": {"probe_rows": 1000}}, 4, "backend.probe_rows = 1000, the same engine opened here makes it 1024"),
        ({"backend": {"graph": "a" * 64}}, 4, "onnxruntime runs the plan's own"),
        ({"backend": {"trusted": True}}, 0, "mark: not checked: cached programs"),
        ({"backend": {"versions": {"onnxruntime": "0.1"}}}, 6, "versions.onnxruntime is "),
        ({"backend": {"hardware": "another", "placement": "static"}}, 2, "at multiples of 128 under static placement"),
        ({"backend": {"hardware": "another"}}, 6, "hardware, nodes, placement, probed} of another engine"),
    ],
)
def test_every_field_that_is_changed_is_found_or_named(
    run: Path, changes: dict[str, Any], code: int, words: str
) -> None:
    rewrite(run, unchanged, **changes)
    ended = verify(run, "--share", "0.1").expect(code)
    assert words in ended.out + ended.err


def _of_row(number: int, column: int, value: str) -> Callable[[list[str]], list[str]]:
    def change(rows: list[str]) -> list[str]:
        fields = rows[number].split("\t")
        fields[column] = value
        return [*rows[:number], "\t".join(fields), *rows[number + 1 :]]

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_of_row(3, 3, "9.9999"), "cohen.tsv:4: expected"),
        (_of_row(1, 1, "7"), "cohen.tsv:2: expected"),
        (_of_row(0, 3, "radii"), "cohen.tsv:1: expected"),
        (lambda rows: rows[:-1], f"cohen.tsv:{IMAGES + 1}: expected"),
        (lambda rows: [*rows, rows[-1]], f"cohen.tsv:{IMAGES + 2}: expected"),
        (lambda rows: [*rows, ""], f"cohen.tsv: expected {IMAGES + 1} lines by the ledger, each with its end"),
        (_of_row(2, 5, "1\r9"), "cohen.tsv:3: expected a time"),
        (lambda rows: rows * 99, "found more than they can take"),
    ],
)
def test_a_log_beside_the_run_must_be_its_ledgers(
    run: Path, change: Callable[[list[str]], list[str]], words: str
) -> None:
    path = write_cohen_tsv(read_run(run))
    verify(run, "--share", "0.04").expect(0)
    rows = path.read_text().splitlines()
    path.write_text("\n".join(_of_row(2, 5, "0:00:00.5")(rows)) + "\n")
    verify(run, "--share", "0.04").expect(0)  # times fix nothing
    path.write_text("\n".join(change(rows)) + "\n")
    assert words in verify(run, "--share", "0.04").expect(4).out


def test_a_log_that_is_a_link_is_refused(run: Path, tmp_path: Path) -> None:
    write_cohen_tsv(read_run(run)).rename(tmp_path / "elsewhere.tsv")
    (run / "cohen.tsv").symlink_to(tmp_path / "elsewhere.tsv")
    assert "expected a file of the run" in verify(run, "--share", "0.04").expect(4).out
