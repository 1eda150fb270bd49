"""A stopping table is made once for a plan on a machine; one that somebody else left there is not taken."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from purecert.engine.plans.plan import Plan, read_plan
from purecert.engine.plans.trust import write_trusted
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.records.run import read_run
from purecert.engine.running import kept_tables
from purecert.engine.running.kept_tables import table_maker
from purecert.engine.statistics.stopping_tables import StoppingTable
from purecert.engine.statistics.table_making import make_table
from purecert.engine.verification.written import _table_problems
from support.verifying import certified_run

_ASKED = (0.7, 300, 0.01, 1e4)


@pytest.fixture
def plan(demo_plan: Path, tmp_path: Path) -> Plan:
    return read_plan(Path(shutil.copytree(demo_plan, tmp_path / "plan", ignore=shutil.ignore_patterns("cache"))))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, ...]]:
    """Return what was asked of the programme, which goes on growing."""
    asked = list[tuple[float, ...]]()

    def note(*numbers: float) -> StoppingTable:
        asked.append(numbers)
        return make_table(*numbers)  # type: ignore[arg-type]  # n is whole

    monkeypatch.setattr(kept_tables, "make_table", note)
    return asked


def _files(plan: Plan) -> list[Path]:
    return sorted((plan.directory / "cache").glob("stopping-table-*.json"))


def test_a_table_is_made_once_and_another_one_anew(plan: Plan, made: list[tuple[float, ...]]) -> None:
    first = table_maker(plan)(*_ASKED)
    assert first == make_table(*_ASKED)
    assert table_maker(plan)(*_ASKED) == first
    assert made == [_ASKED]
    other = (*_ASKED[:3], 2e4)
    table_maker(plan)(*other)
    assert made == [_ASKED, other]
    assert len(_files(plan)) == 2


@pytest.mark.parametrize("kind", ["changed", "without a tag", "of another table", "damaged"])
def test_what_this_machine_did_not_write_is_not_taken(plan: Plan, made: list[tuple[float, ...]], kind: str) -> None:
    honest = table_maker(plan)(*_ASKED)
    (path,) = _files(plan)
    content = json.loads(path.read_text())
    if kind == "changed":
        path.write_text(json.dumps(content | {"high": [high - 1 for high in content["high"]]}))
    elif kind == "without a tag":
        path.with_name(path.name + ".tag").unlink()
    elif kind == "of another table":
        table_maker(plan)(*_ASKED[:3], 2e4)
        (other,) = set(_files(plan)) - {path}
        path.write_bytes(other.read_bytes())
        path.with_name(path.name + ".tag").write_bytes(other.with_name(other.name + ".tag").read_bytes())
    else:
        path.write_bytes(path.read_bytes()[:50])
    made.clear()
    assert table_maker(plan)(*_ASKED) == honest
    assert made == [_ASKED]


def test_a_plan_that_cannot_be_written_to_is_used_as_it_is(plan: Plan, made: list[tuple[float, ...]]) -> None:
    (plan.directory / "cache").symlink_to(plan.directory)
    for _ in range(2):
        assert table_maker(plan)(*_ASKED) == make_table(*_ASKED)
    assert made == [_ASKED] * 2


@pytest.mark.parametrize("what", ["version", "programme", "numbers"])
def test_what_another_programme_made_or_was_not_asked_for_is_not_taken(
    plan: Plan, made: list[tuple[float, ...]], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    table = table_maker(plan)(*_ASKED)
    if what == "version":
        monkeypatch.setattr(kept_tables, "version", lambda name: "0.0.1")
    elif what == "programme":
        monkeypatch.setattr(kept_tables, "_makes", lambda: "other")
    else:  # under the key's tag and the right name, as a fault of this program would leave it
        (path,) = _files(plan)
        _, origin = kept_tables._place(plan, dict(zip(("threshold", "n", "alpha", "price"), _ASKED, strict=True)))
        other = make_table(*_ASKED[:3], 2e4)
        write_trusted(path, (json.dumps(asdict(other)) + "\n").encode(), origin)
    made.clear()
    assert table_maker(plan)(*_ASKED) == table
    assert made == [_ASKED]


def test_a_run_by_tables_leaves_them_in_the_cache_and_its_verification_makes_them_anew(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SmoothingSpec(mode="certify", sigma=0.5, n_estimate=300, stop=StopSpec(rule="radii", radii=(0.5,)))
    certified_run(plan.directory, "digits:test[:2]", tmp_path / "run", spec)
    assert len(_files(plan)) == 1
    asked = list[float]()

    def note(threshold: float, *others: float) -> StoppingTable:
        asked.append(threshold)
        return make_table(threshold, *others)  # type: ignore[arg-type]  # n is whole

    monkeypatch.setattr("purecert.engine.verification.written.make_table", note)
    run = read_run(tmp_path / "run")
    assert list(_table_problems(run)) == []
    assert asked == [table.threshold for table in run.record.spec.tables]
