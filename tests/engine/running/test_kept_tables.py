"""A stopping table is made once for a plan on a machine; one that somebody else left there is not taken."""

import json
import shutil
from pathlib import Path

import pytest

from purecert.engine.plans.plan import Plan, read_plan
from purecert.engine.running import kept_tables
from purecert.engine.running.kept_tables import table_maker
from purecert.engine.statistics.stopping_tables import StoppingTable
from purecert.engine.statistics.table_making import make_table

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
