"""benchmarks/paper_tables.py: what a cell is, what is counted, what is said to be missing, and that it goes on."""

import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from purecert.train.fitting.progress import StepReport
from purecert.train.recipes.paper.fashion_mnist import FASHION_MNIST
from purecert.train.recipes.rrcm.fashion_mnist import RRCM_FASHION_MNIST

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(_BENCHMARKS))


def _cell(right: list[bool]) -> dict[str, Any]:
    shown = np.array(right)
    return {"clean": shown, "right": shown, "transport": np.full(len(right), 2.0), "frechet": np.array(3.0)}


def _found() -> Any:
    from paper.rows import PAPER
    from paper.table import Found

    judged = {
        ("one-step EDM", 0, 0.25): _cell([True, False, False, False]),
        ("one-step EDM", 1, 0.25): _cell([True, False, False, True]),
        ("consistency model", 0, 0.25): _cell([True, True, False, False]),
        ("PF-ODE of EDM", 0, 0.25): _cell([False, True]),
    }
    seconds = {("consistency model", 0, 0.25): 12.5}
    return Found(contents=PAPER, seeds=(0, 1), judged=judged, certified={}, pace={}, seconds=seconds, cost={})


def test_every_row_is_a_stage_of_the_recipe_and_every_stage_a_row() -> None:
    from paper.rows import PAPER, RRCM

    named = {stage for row in PAPER.rows for stage in row.stages.values()}
    assert named == set(FASHION_MNIST.names) - {"classifier"}  # whose features a loss looks at: it judges nothing
    own = {stage for row in RRCM.rows if row.recipe == "rrcm" for stage in row.stages.values()}
    assert own == set(RRCM_FASHION_MNIST.names) - {"probe"}
    assert {stage for row in RRCM.rows if row.recipe == "paper" for stage in row.stages.values()} < named
    for contents in (PAPER, RRCM):
        names = {row.name for row in contents.rows}
        assert len(names) == len(contents.rows)
        assert names >= set(contents.compared.values())


def test_rows_are_compared_on_the_seeds_and_images_that_both_have() -> None:
    from paper.table import table

    entries = {(entry["row"], entry["sigma"]): entry for entry in table(_found())}
    first, model, slow = (entries[name, 0.25] for name in ("one-step EDM", "consistency model", "PF-ODE of EDM"))
    assert first["one_draw"] == pytest.approx((0.25 + 0.5) / 2)
    assert first["one_draw_by_seed"] == [0.25, 0.5]
    assert first["over_one_step"] is None
    assert (model["over_one_step"]["seeds"], model["over_one_step"]["mean"]) == ([0], 0.25)
    assert (slow["over_one_step"]["images"], slow["over_one_step"]["mean"]) == (2, 0.0)
    assert model["processor_seconds_trained"] == 12.5
    assert first["processor_seconds_trained"] is None  # one of its trainings is not known
    assert entries["no purifier", 0.25]["one_draw"] is None
    json.dumps(list(entries.values()), allow_nan=False)


def test_what_is_not_measured_is_named() -> None:
    from paper.rows import PAPER
    from paper.table import missing, text
    from paper.table import table as table_of

    found, rows = _found(), len(PAPER.rows)
    absent = missing(found, (0, 1), certifies=True)
    assert len(absent) == 2 * 3 * rows - 4 + 3 * (rows - 1)  # one draws of two seeds; no certificates of the ODE
    assert "no purifier: one draw, seed 0, sigma 0.25" in absent
    assert "one-step EDM: one draw, seed 1, sigma 0.25" not in absent
    assert len(text(PAPER, table_of(found)).splitlines()) == 2 + 3  # head and what is measured


def test_rows_of_one_seed_lack_no_other_and_costs_give_draws() -> None:
    from paper.filling import _draws
    from paper.rows import PRETRAINED, RRCM
    from paper.table import Found, missing

    found = Found(contents=RRCM, seeds=(0, 1), judged={}, certified={}, pace={}, seconds={}, cost={})
    absent = missing(found, (0, 1), certifies=True)
    assert sum("noise-trained CNN: one draw" in said for said in absent) == 3
    assert sum(f"{PRETRAINED}: one draw" in said for said in absent) == 6
    assert sum(f"{PRETRAINED}: certified" in said for said in absent) == 6
    assert sum("noise-trained CNN: certified" in said for said in absent) == 3
    names = {row.cost: row.name for row in RRCM.rows}
    found.cost = {(PRETRAINED, 0.5): (0.5, 1.0), (names[1.0], 0.5): (2.0, 1.0), (names[10.0], 0.5): (2.0, 1.0)}
    every: Any = {("rrcm", 0): SimpleNamespace(sizes=SimpleNamespace(n=1000, n0=100))}
    every["paper", 0] = every["rrcm", 0]
    draws = {row.cost: _draws(found, row, 0.5, every) for row in RRCM.rows if row.name != "rRCM's network from scratch"}
    assert draws == {None: 1000, 1.0: 1100 // 4 - 100, 10.0: 11_000 // 4 - 100}  # a pass costs four times as much


def test_seconds_are_taken_up_where_a_training_goes_on(tmp_path: Path) -> None:
    from paper.clock import Clock, seconds_at, total_seconds

    def line(step: int) -> StepReport:
        numbers = {"loss": 0.0, "learning_rate": 0.0, "gradient_norm": 0.0, "samples_per_second": 0.0, "seconds": 0.0}
        return StepReport(stage="one", step=step, steps=9, **numbers)

    (tmp_path / "one").mkdir()
    path = tmp_path / "one" / "processor.jsonl"
    path.write_text('{"step": 2, "seconds": 100.0}\n{"step": 3, "seconds": 150.0}\n')
    clock = Clock(io.StringIO(), tmp_path)
    clock.begin("one", 2, 9)  # after a crash: step 3 was not saved
    clock.step()
    clock.report(line(3))
    clock.end()
    found = seconds_at(path, 3)
    assert found is not None
    assert 100 <= found < 150
    assert len(path.read_text().splitlines()) == 3
    assert total_seconds(tmp_path, [("one", 3), ("one", 2)]) == found + 100
    clock.begin("one", 7, 9)  # trained by another program up to there
    clock.step()
    clock.end()
    assert seconds_at(path, 8) is None
    assert total_seconds(tmp_path, [("one", 3), ("one", 8)]) is None


@pytest.mark.slow
@pytest.mark.nightly
def test_a_few_cells_are_filled_and_not_done_again(tmp_path: Path) -> None:
    _write_images(tmp_path / "data")
    rows = ("--row", "no purifier")
    first = _fill("paper_tables.py", tmp_path, *rows)
    record = json.loads((tmp_path / "table.json").read_text())
    entries = {(entry["row"], entry["sigma"]): entry for entry in record["table"]}
    bare = entries["no purifier", 0.5]
    (certified,) = bare["certified"]
    assert (bare["images"], certified["images"], certified["n"], certified["seed"]) == (30, 20, 100, 0)
    for share, (low, high) in zip(certified["accuracy"], certified["intervals"], strict=True):
        assert low <= share <= high
    assert 0 < bare["gflop_image"] < 1
    assert bare["processor_seconds_trained"] > 0
    assert certified["seconds_a_certificate"] > 0
    assert record["is_partial"]
    assert not any(said.startswith("no purifier") for said in record["not_measured"])
    again = _fill("paper_tables.py", tmp_path, *rows)
    assert "judging" in first
    assert "exporting" in first
    assert "judging" not in again
    assert "exporting" not in again
    repeated = json.loads((tmp_path / "table.json").read_text())
    assert repeated["table"] == record["table"]


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("labels", [(), ("--labels", "20")], ids=["all", "few labels"])
def test_the_table_of_rrcm_is_filled(tmp_path: Path, labels: tuple[str, ...]) -> None:
    _write_images(tmp_path / "data")
    _fill("rrcm_tables.py", tmp_path, *labels)
    record = json.loads((tmp_path / "table.json").read_text())
    assert record["sizes"]["labels"] == (20 if labels else None)
    entries = {(entry["row"], entry["sigma"]): entry for entry in record["table"]}
    assert [run["images"] for run in entries["rRCM, pre-trained", 0.25]["certified"]] == [20]
    assert entries["rRCM, pre-trained", 0.25]["frechet"] is None
    assert record["not_measured"] == []
    assert "mean" in entries["rRCM, pre-trained", 1.0]["over_scratch"]
    if not labels:
        ten = entries["consistency, fine-tuned: features, tenfold cost", 0.5]
        ratio = entries["rRCM, pre-trained", 0.5]["gflop_image"] / ten["gflop_image"]
        assert ten["certified"][0]["n"] == round(2000 * ratio) - 100


def _fill(program: str, folder: Path, *more: str) -> str:
    sizes = ["--steps-scale", "1e-9", "--images", "30", "--certified-images", "20", "--n", "100"]
    checks = ["--parity-draws", "40", "--probe-rows", "20", "--seeds", "0"]
    places = [folder / "table.json", "--work", folder / "work", "--data-dir", folder / "data"]
    command = [sys.executable, _BENCHMARKS / program, *places, *sizes, *checks, *more]
    done = subprocess.run(list(map(os.fspath, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def _write_images(folder: Path) -> None:
    folder.mkdir()
    draws = np.random.default_rng(0)
    for name, images in (("train", 40), ("t10k", 40)):
        pixels, labels = draws.integers(0, 256, (images, 28, 28), np.uint8), np.arange(images, dtype=np.uint8) % 10
        for kind, values in (("images-idx3", pixels), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + values.tobytes()))
