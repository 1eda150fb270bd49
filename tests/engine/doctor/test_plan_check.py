"""What is wrong with a plan is found and told apart."""

import json
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.doctor.plan_check import check_plan
from purecert.engine.errors import InputError
from purecert.engine.plan import PLAN_FILE, Plan
from purecert.engine.trust import tag_path, write_trusted
from support.plans import linear_plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Return a plan with a cached program that this machine wrote."""
    plan = linear_plan(tmp_path / "plan", np.ones(12, np.float32), 6.0, (3, 2, 2))
    write_trusted(plan.cached_program(0.5), b"code", plan.record.graphs[0].sha256)
    return plan


def _with_schema(plan: Plan, schema: object) -> str:
    path = plan.directory / PLAN_FILE
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"schema": schema}))
    (problem,) = check_plan(plan.directory).problems
    return f"{problem.reason}. {problem.remedy}"


def test_a_plan_of_this_machine_has_no_problem(plan: Plan) -> None:
    check = check_plan(plan.directory)
    assert (check.problems, check.programs, check.is_quick) == ((), None, True)
    assert check.says == "fp32, sigma 0.5"


@pytest.mark.parametrize("schema", ["purecert.plan/1", "purecert.plan/0", "purecert.run/99", "", None, 99, "é" * 10**5])
def test_only_a_later_schema_asks_for_an_upgrade(plan: Plan, schema: object) -> None:
    assert "upgrade" not in _with_schema(plan, schema)
    assert "--upgrade purecert" in _with_schema(plan, "purecert.plan/4711")


def test_a_plan_that_is_not_json_is_not_readable(plan: Plan) -> None:
    (plan.directory / PLAN_FILE).write_text("{")
    check = check_plan(plan.directory)
    assert check.says == "not readable"
    assert "expected JSON" in check.problems[0].reason
    assert not check.is_quick


def test_a_changed_graph_is_named(plan: Plan) -> None:
    path = plan.directory / plan.record.graphs[0].file
    path.write_bytes(path.read_bytes()[:-1])
    check = check_plan(plan.directory)
    (problem,) = check.problems
    assert f"{path}: expected SHA-256" in problem.reason
    assert "engine-export" in problem.remedy
    assert not check.is_quick
    path.unlink()
    assert "expected a regular file" in check_plan(plan.directory).problems[0].reason


def test_a_changed_program_is_foreign_and_an_absent_one_absent(plan: Plan) -> None:
    path = plan.cached_program(0.5)
    path.write_bytes(b"other")
    programs = check_plan(plan.directory).programs
    assert programs is not None
    assert "does not carry this machine's tag (made elsewhere, or changed)" in programs.reason
    path.unlink()
    programs = check_plan(plan.directory).programs
    assert programs is not None
    assert "no such cached file" in programs.reason
    assert programs.remedy == "export the plan on this machine: engine-export"


@pytest.mark.parametrize("fault", ["no tag", "another machine's tag", "changed"])
def test_another_cached_file_that_is_not_as_this_machine_wrote_it_is_foreign(
    plan: Plan, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What such files are made from, hardware and versions among it, only their backend knows."""
    cache = plan.cached_program(0.5).parent
    write_trusted(cache / "ours.engine", b"engine", "hardware and versions")
    (cache / "ours.json").write_text("{}")
    path = cache / "theirs.engine"
    with monkeypatch.context() as elsewhere:
        if fault == "another machine's tag":
            elsewhere.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
        write_trusted(path, b"engine", "hardware and versions")
    if fault == "no tag":
        tag_path(path).unlink()
    if fault == "changed":
        path.write_bytes(b"engin3")
    (problem,) = check_plan(plan.directory).problems
    assert f"{path}: loading it runs code from it, and it does not carry this machine's tag" in problem.reason
    assert "--trust-plan" in problem.remedy


def test_no_folder_is_bad_input(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path / "file"):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(InputError, match="expected a plan directory"):
            check_plan(path)
