"""Runs with stopping tables: verified where tables are the programme's own, and where they are not, refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from purecert.engine.procedures.choosing import check_asked
from purecert.engine.procedures.outcomes import Certificate
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.procedures.tables.rule import with_tables
from purecert.engine.records.lines import Line
from purecert.engine.records.run import read_run
from purecert.engine.statistics.stopping_tables import StoppingTable
from purecert.engine.statistics.table_errors import false_claims_at_most
from purecert.engine.statistics.table_making import is_made_alike
from purecert.engine.verification.replay import Replayed
from support.forgery import lines_of, reseal_all
from support.verifying import certified_run, plane_and_images, verify

_SPEC = SmoothingSpec(
    mode="certify", sigma=0.5, n_estimate=600, stop=StopSpec(rule="radii", radii=(0.0, 0.5), price=1e4)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    plan, data = plane_and_images(folder)
    certified_run(plan, data, folder / "honest", _SPEC)
    return folder


def _with_more_given_up(table: StoppingTable, looks: int) -> StoppingTable:
    """Return a table that gives up with three successes more at its last looks but one: sound, and another."""
    chosen = range(len(table.looks) - 1 - looks, len(table.looks) - 1)
    low = [
        min(high - 1, low + 3) if i in chosen else low
        for i, (low, high) in enumerate(zip(table.low, table.high, strict=True))
    ]
    return replace(table, low=tuple(low))


def test_an_honest_run_is_verified_on_its_engine_and_keeps_its_claims_on_another(folder: Path, tmp_path: Path) -> None:
    said = verify(folder / "honest", "--share", "1", "--fresh-seed").expect(0).out
    assert "verified: 24 images" in said
    assert "spec.stop.price: that it was chosen before the first draw" in said
    run = Path(shutil.copytree(folder / "honest", tmp_path / "elsewhere"))
    record = json.loads((run / "run.json").read_text())
    record["backend"]["hardware"] = "x86_64 Another"
    reseal_all(run, json.dumps(record).encode(), lines_of(run))
    found = json.loads(verify(run, "--share", "1", "--json").expect(6).out)
    claims = found["elsewhere"]["claims"]
    assert sum(claims["as_written"]) > 0
    assert claims["as_written"] == claims["replayed"] == claims["smaller"]
    assert found["differing_labels"] == 0


def test_a_table_that_could_have_been_chosen_after_the_draws_is_a_problem(folder: Path, tmp_path: Path) -> None:
    """It errs less often than alpha, so every line follows: only making the table again shows it."""
    tabled = with_tables(_SPEC, read_run(folder / "honest").record.tv)
    assert tabled.stop is not None
    first, second = tabled.stop.tables
    other = _with_more_given_up(second, 20)
    assert false_claims_at_most(other) <= 1e-3
    spec = replace(tabled, stop=replace(tabled.stop, tables=(first, other)))
    certified_run(folder / "plan", f"npz:{folder / 'images.npz'}", tmp_path / "run", spec)
    ended = verify(tmp_path / "run", "--share", "0").expect(4)
    assert "so it may have been chosen after the draws" in ended.out


def test_ties_that_another_processor_breaks_otherwise_are_no_problem() -> None:
    (table,) = with_tables(replace(_SPEC, stop=StopSpec(rule="radii", radii=(0.5,))), 0.0).stop.tables  # type: ignore[union-attr]  # it has a rule
    assert is_made_alike(table, table)
    nudged = replace(table, low=tuple(low - (i == 40) for i, low in enumerate(table.low)))
    assert is_made_alike(table, nudged)
    for other in (
        _with_more_given_up(table, 1),
        replace(table, low=tuple(max(-1, low - 1) for low in table.low[:-1]) + table.low[-1:]),
        replace(table, price=2e6),
    ):
        assert not is_made_alike(table, other)


def test_votes_moved_from_one_look_to_another_are_counted_as_differing() -> None:
    claim = Certificate(predicted=0, p_lower=0.6, radius=0.1, stops=((100, 90), (300, 200)))
    line = Line(index=0, label=0, outcome=claim, counts=({"0": 100}, {"0": 200, "1": 100}), looks=9)
    counts = ({"0": 100}, {"0": 200, "1": 100})
    assert Replayed(line=line, counts=counts, looks=9, at_stops=((100, 90), (300, 200))).differing == 0
    assert Replayed(line=line, counts=counts, looks=9, at_stops=((100, 70), (300, 200))).differing == 40


@pytest.mark.parametrize(("n", "radius"), [(10, 0.0), (11, 0.0), (5200, 1.5)])
def test_what_a_table_can_certify_with_all_of_alpha_is_not_refused_before_it_is_made(n: int, radius: float) -> None:
    check_asked(replace(_SPEC, n_estimate=n, stop=StopSpec(rule="radii", radii=(radius,))), 0.0)
