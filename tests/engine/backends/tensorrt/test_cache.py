"""Engines are kept under this machine's tag, and nothing but what it built here is handed out."""

import json
import logging
import random
import shutil
from pathlib import Path

import pytest

from purecert.engine.backends.tensorrt.build import BuildOptions, BuiltEngine
from purecert.engine.backends.tensorrt.cache import EngineFile, open_engine
from purecert.engine.backends.tensorrt.target import Target, any_gpu
from purecert.engine.errors import BackendError, InputError, OutOfMemoryError
from purecert.engine.plans.plan import Plan, read_plan
from purecert.engine.plans.trust import tag_path
from support.rtx_as_tensorrt import MEASURED, RtxAsTensorrt

pytestmark = pytest.mark.slow

_REFUSED = r"loading it runs code from it, and it does not carry this machine's tag.*--trust-plan"
_SM_89 = any_gpu("sm_89")


@pytest.fixture
def plan(rtx: None, half_plan: Plan, tmp_path: Path) -> Plan:
    """Return a copy of the plan, without engines."""
    shutil.copytree(half_plan.directory, tmp_path / "plan")
    return read_plan(tmp_path / "plan")


def _open(
    plan: Plan, *, batch: int = 8, target: Target = _SM_89, options: BuildOptions | None = None, trust: bool = False
) -> EngineFile:
    return open_engine(plan, 0.5, batch, "tensorrt-rtx", target, options, trust=trust)


def test_an_engine_is_built_once_with_one_line(
    plan: Plan, built: BuiltEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "purecert")
    first = _open(plan)
    (line,) = [entry.message for entry in caplog.records]
    assert line.startswith(f"building {first.path.stem} in batches of 8 for sm_89; ")
    assert first.path.parent == plan.directory / "cache"
    assert first.path.name.startswith("sigma-0.5-tensorrt-rtx-")
    assert len(first.path.stem.rpartition("-")[2]) == 16
    assert first.report == built.report
    changed = first.path.stat().st_mtime_ns
    caplog.clear()
    assert _open(plan) == first
    assert caplog.records == []
    assert first.path.stat().st_mtime_ns == changed


@pytest.mark.nightly
def test_whatever_an_engine_is_made_from_gives_it_a_file_of_its_own(plan: Plan) -> None:
    made = [
        _open(plan),
        _open(plan, batch=7),
        _open(plan, target=any_gpu("sm_86")),
    ]
    assert len({engine.path for engine in made}) == len(made)
    # A GPU's name is not part of it: an engine of TensorRT-RTX runs on every GPU of its compute capability.
    assert _open(plan, target=Target(gpu="NVIDIA L4", capability="sm_89")) == made[0]


def test_an_engine_found_with_other_options_is_taken_unless_options_are_asked_for(plan: Plan) -> None:
    quick, slow = BuildOptions(optimization_level=0), BuildOptions(optimization_level=2)
    first = _open(plan, options=quick)
    assert _open(plan) == first
    assert _open(plan, options=quick) == first
    built_at = first.path.stat().st_mtime_ns
    second = _open(plan, options=slow)
    assert second.path == first.path
    assert second.path.stat().st_mtime_ns > built_at
    described = json.loads(second.path.with_suffix(".json").read_text())
    assert described["options"] == {"optimization_level": 2, "workspace_mib": None, "timing_cache": True}
    assert _open(plan) == second


def test_an_engine_that_cannot_be_built_again_stays(plan: Plan) -> None:
    first = _open(plan)
    with pytest.raises(OutOfMemoryError):
        _open(plan, options=BuildOptions(workspace_mib=1))
    assert _open(plan) == first


def test_what_lies_beside_an_engine_tells_what_was_found_in_it(plan: Plan, built: BuiltEngine) -> None:
    engine = _open(plan)
    described = json.loads(engine.path.with_suffix(".json").read_text())
    assert (described["capability"], described["batch"]) == ("sm_89", 8)
    assert described["report"]["half_products"] == built.report.half_products == 23
    assert described["build_seconds"] == engine.build_seconds
    assert described["engine_bytes"] == len(engine.content)


def test_200_flipped_bytes_are_refused_every_one(plan: Plan) -> None:
    engine = _open(plan)
    generator = random.Random(6)
    for _ in range(200):
        at, flipped = generator.randrange(len(engine.content)), generator.randrange(1, 256)
        _set(engine.path, at, engine.content[at] ^ flipped)
        with pytest.raises(InputError, match=_REFUSED):
            _open(plan)
        _set(engine.path, at, engine.content[at])
    assert _open(plan) == engine


def _set(path: Path, at: int, value: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes([value]))


def test_an_engine_that_was_cut_or_appended_to_is_refused(plan: Plan) -> None:
    engine = _open(plan)
    for content in (b"", engine.content[:-1], engine.content + b"\0"):
        engine.path.write_bytes(content)
        with pytest.raises(InputError, match=_REFUSED):
            _open(plan)


def test_two_engines_of_this_machine_cannot_take_each_other_s_place(plan: Plan) -> None:
    one, other = _open(plan), _open(plan, batch=7)
    for path, content, tag in (
        (one.path, other.content, tag_path(other.path).read_bytes()),
        (other.path, one.content, tag_path(one.path).read_bytes()),
    ):
        path.write_bytes(content)
        tag_path(path).write_bytes(tag)
    for batch in (8, 7):
        with pytest.raises(InputError, match=_REFUSED):
            _open(plan, batch=batch)


def test_an_engine_of_another_machine_is_read_on_trust_only(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _open(plan)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(InputError, match=_REFUSED):
        _open(plan)
    assert _open(plan, trust=True) == engine


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b'{"schema": "purecert.engine/1"}'])
def test_a_damaged_description_is_refused(plan: Plan, content: bytes | None) -> None:
    described = _open(plan).path.with_suffix(".json")
    described.unlink()
    if content is not None:
        described.write_bytes(content)
    with pytest.raises(InputError, match=described.name):
        _open(plan)


def test_a_failed_build_leaves_nothing(plan: Plan) -> None:
    before = sorted(path.name for path in (plan.directory / "cache").iterdir())
    with pytest.raises(BackendError, match="not for sm_90"):
        _open(plan, target=any_gpu("sm_90"))
    assert sorted(path.name for path in (plan.directory / "cache").iterdir()) == before


# --- TensorRT's own path, with a TensorRT made of TensorRT-RTX


@pytest.fixture
def tensorrt(rtx: None, monkeypatch: pytest.MonkeyPatch) -> RtxAsTensorrt:
    """Return a TensorRT 11 that is in place."""
    fake = RtxAsTensorrt()
    fake.install(monkeypatch)
    return fake


_H200 = Target(gpu="NVIDIA H200", capability="sm_90")


def _open_tensorrt(plan: Plan, batch: int, target: Target = _H200) -> EngineFile:
    return open_engine(plan, 0.5, batch, "tensorrt", target, None, trust=False)


def test_tensorrt_builds_by_the_same_path(plan: Plan, built: BuiltEngine, tensorrt: RtxAsTensorrt) -> None:
    engine = _open_tensorrt(plan, 8)
    assert engine.path.name.startswith("sigma-0.5-tensorrt-")
    assert "rtx" not in engine.path.name
    assert engine.report == built.report
    # Here the GPU's name counts: kernels are chosen by measuring them on it.
    other = _open_tensorrt(plan, 8, Target(gpu="NVIDIA H100", capability="sm_90"))
    assert other.path != engine.path


def test_an_inspector_that_gives_no_ends_is_helped_out_by_the_engine(
    plan: Plan, built: BuiltEngine, tensorrt: RtxAsTensorrt
) -> None:
    """The engine tells a batch that it does not know, as one of TensorRT 10 does of a dynamic extent."""
    tensorrt.inspector_tells_ends = False
    assert _open_tensorrt(plan, 8).report == built.report


@pytest.mark.nightly
def test_tensorrt_s_measured_times_serve_the_next_build_of_the_same_gpu(plan: Plan, tensorrt: RtxAsTensorrt) -> None:
    for batch, target in ((8, _H200), (7, _H200), (8, Target(gpu="NVIDIA H100", capability="sm_90"))):
        _open_tensorrt(plan, batch, target)
    assert tensorrt.timing_caches == [b"", MEASURED, b""]


def test_times_that_are_not_this_machine_s_are_measured_again(
    plan: Plan, tensorrt: RtxAsTensorrt, caplog: pytest.LogCaptureFixture
) -> None:
    _open_tensorrt(plan, 8)
    (times,) = (plan.directory / "cache").glob("*.times")
    times.write_bytes(MEASURED[::-1])
    caplog.set_level(logging.WARNING, "purecert")
    _open_tensorrt(plan, 7)
    assert tensorrt.timing_caches == [b"", b""]
    assert any("measuring kernels again: " in entry.message for entry in caplog.records)
    assert times.read_bytes() == MEASURED
