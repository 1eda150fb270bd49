"""What is wrong with a plan is found and told apart."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.doctor.plan_check import check_plan
from purecert.engine.errors import InputError
from purecert.engine.plans.plan import CACHE_DIRECTORY, PLAN_FILE, Plan
from purecert.engine.plans.trust import tag_path, write_trusted
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
    assert (check.problems, check.stops, check.is_quick) == ((), {}, True)
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
    stops = check_plan(plan.directory).stops
    assert set(stops) == {"torch", "torch-compiled", "torch-cuda"}
    assert "does not carry this machine's tag (made elsewhere, or changed)" in stops["torch"].reason
    path.unlink()
    stops = check_plan(plan.directory).stops
    assert "no such cached file" in stops["torch"].reason
    assert stops["torch"].remedy == "export the plan on this machine: engine-export"


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


def _unreadable_file(path: Path) -> None:
    """Put a file at ``path`` that nobody can read, the superuser neither: the memory of this process at address 0."""
    if not Path("/proc/self/mem").exists():
        pytest.skip("there is no /proc/self/mem here")
    path.symlink_to("/proc/self/mem")


def test_a_cached_file_that_cannot_be_read_is_a_problem_of_the_plan(plan: Plan) -> None:
    engine = plan.directory / CACHE_DIRECTORY / "sigma-0.5-tensorrt-0123456789abcdef.engine"
    _unreadable_file(engine)
    check = check_plan(plan.directory)
    (problem,) = check.problems
    assert problem.reason == f"{engine} cannot be read (Input/output error)"
    assert f"sudo chown \"$USER\" '{engine}'; or delete it" in problem.remedy
    assert check.stops == {"tensorrt": problem}


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
@pytest.mark.parametrize("name", ["plan.json", "sigma-0.5.onnx", "cache", "cache/sigma-0.5.pt2"])
def test_what_this_user_may_not_read_is_a_problem_of_the_plan(plan: Plan, name: str) -> None:
    path = plan.directory / name
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        problem = check_plan(plan.directory).problems[0]
    finally:
        path.chmod(mode)
    assert problem.reason == f"{path} cannot be read (Permission denied)"
    assert f"sudo chown \"$USER\" '{path}'" in problem.remedy


@pytest.mark.parametrize("fault", ["cut short", "a folder"])
def test_a_machine_key_that_cannot_be_used_is_one_problem_of_the_plan(
    plan: Plan, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_trusted(plan.directory / CACHE_DIRECTORY / "sigma-0.5-cpu-0123456789abcdef.pt2", b"code", "versions")
    key = tmp_path / "config" / "purecert" / "machine.key"
    key.parent.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    if fault == "a folder":
        key.mkdir()
    else:
        key.write_bytes(b"key")
    check = check_plan(plan.directory)
    (problem,) = check.problems
    said = "expected 32 bytes, found 3" if fault == "cut short" else "cannot be read (Is a directory)"
    assert f"{key}" in problem.reason
    assert said in problem.reason
    assert "delete it" in problem.remedy
    assert "rm '" not in problem.remedy
    assert check.stops == dict.fromkeys(("torch", "torch-compiled", "torch-cuda"), problem)


@pytest.mark.parametrize(
    ("name", "backends"),
    [
        ("sigma-0.5.pt2", {"torch", "torch-compiled", "torch-cuda"}),
        ("sigma-0.5-cpu-0123456789abcdef.pt2", {"torch-compiled"}),
        ("sigma-0.5-cuda-0123456789abcdef.pt2", {"torch-cuda"}),
        ("sigma-0.5-tensorrt-0123456789abcdef.engine", {"tensorrt"}),
        ("sigma-0.5-tensorrt-rtx-0123456789abcdef.engine", {"tensorrt-rtx"}),
        ("sigma-0.5-ort-tensorrt-0123456789abcdef.engines", {"onnxruntime-tensorrt"}),
        ("sigma-0.25-tensorrt-0123456789abcdef.engine", set()),  # no graph of the plan
        ("sigma-0.5-tensorrt-0123456789abcdef.pt2", set()),
        ("tensorrt-0123456789abcdef.times", set()),  # read only where an engine is built, and else measured again
    ],
)
def test_a_foreign_file_stops_the_backends_that_would_load_it(plan: Plan, name: str, backends: set[str]) -> None:
    (plan.directory / CACHE_DIRECTORY / name).write_bytes(b"foreign")
    check = check_plan(plan.directory)
    (problem,) = check.problems
    assert name in problem.reason
    assert check.stops == dict.fromkeys(backends, problem)


def test_no_folder_is_bad_input(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path / "file"):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(InputError, match="expected a plan directory"):
            check_plan(path)
