"""Eight broken set-ups, each with its reason and the command that mends it."""

import json
import os
import shutil
from ctypes import CDLL
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.doctor.diagnosis import Trial
from purecert.engine.doctor.examination import diagnose_all
from purecert.engine.doctor.facts import read_processor
from purecert.engine.doctor.machine import Machine
from purecert.engine.doctor.notices import notices
from purecert.engine.doctor.plan_check import check_plan
from purecert.engine.plans.plan import CACHE_DIRECTORY, PLAN_FILE, Plan
from purecert.engine.plans.trust import write_trusted
from support.doctors import report
from support.machines import DRIVER, HEALTHY, Site, stub_driver
from support.plans import linear_plan

_NIGHTLY = (pytest.mark.slow, pytest.mark.nightly)
_GPU_BACKENDS = ("torch-cuda", "tensorrt", "tensorrt-rtx", "onnxruntime-cuda", "onnxruntime-tensorrt")
_TRIAL = Trial(seconds=120)
_needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the stub of the driver")
_needs_onnxruntime = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="ONNX Runtime is not installed")


def _has_driver() -> bool:
    try:
        CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(folder=tmp_path / "site")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return linear_plan(tmp_path / "plan", np.ones(12, np.float32), 6.0, (3, 2, 2))


def _answer(machine: Machine, backend: str, trial: Trial = _TRIAL) -> tuple[str, str]:
    """Return reason and remedy of a backend that must be unusable."""
    (diagnosis,) = diagnose_all([backend], machine, trial)
    assert not diagnosis.usable
    assert diagnosis.remedy is not None
    return diagnosis.reason, diagnosis.remedy


# --- 1: both packages of ONNX Runtime


@_needs_onnxruntime
def test_both_onnxruntimes_are_found_by_what_their_installers_left(site: Site) -> None:
    site.distribution("onnxruntime", "1.31.1")
    site.distribution("onnxruntime-gpu", "1.30.0")
    said = report("--backend", "onnxruntime", code=0, path=site.folder)
    (notice,) = [notice for notice in said["notices"] if "onnxruntime" in notice["reason"]]
    assert "onnxruntime 1.31.1 and onnxruntime-gpu 1.30.0 are both installed" in notice["reason"]
    assert notice["remedy"].startswith("pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'purecert[")


@_needs_onnxruntime
def test_onnxruntimes_in_two_folders_leave_each_other_alone(site: Site) -> None:
    """The first one on Python's path is imported, whole."""
    site.distribution("onnxruntime-gpu", "1.30.0")
    said = report("--backend", "onnxruntime", code=0, path=site.folder)
    assert not [notice for notice in said["notices"] if "are both installed" in notice["reason"]]


def test_of_both_onnxruntimes_a_gpu_needs_the_gpus() -> None:
    versions = HEALTHY.packages.versions | {"onnxruntime": "1.31.1"}
    packages = replace(HEALTHY.packages, versions=versions, onnxruntime_files="onnxruntime", onnxruntime_cuda=None)
    for backend in ("onnxruntime-cuda", "onnxruntime-tensorrt"):
        reason, remedy = _answer(replace(HEALTHY, packages=packages), backend)
        assert "holds the files of onnxruntime, which has no GPU though onnxruntime-gpu is installed too" in reason
        assert remedy == "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'purecert[gpu-ort]'"


# --- 2: no driver


@pytest.mark.skipif(_has_driver(), reason="there is a driver here")
@pytest.mark.parametrize(
    "backend", [_GPU_BACKENDS[0], *(pytest.param(name, marks=_NIGHTLY) for name in _GPU_BACKENDS[1:])]
)
def test_without_a_driver_that_is_what_every_gpu_backend_lacks_first(backend: str) -> None:
    said = report("--backend", backend, code=3)
    (diagnosis,) = said["backends"]
    assert diagnosis["reason"] == "there is no NVIDIA driver (libcuda.so.1 is not found)"
    assert "sudo apt install nvidia-driver" in diagnosis["remedy"]
    assert "docker run --gpus all" in diagnosis["remedy"]


# --- 3: TensorRT is missing


@_needs_compiler
@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_with_a_gpu_tensorrt_is_what_is_missing(tmp_path: Path) -> None:
    stub_driver(tmp_path / "driver")
    said = report("--backend", "tensorrt", code=3, libraries=tmp_path / "driver")
    assert said["machine"]["driver"]["gpus"] == [{"name": "NVIDIA L4", "capability": [8, 9]}]
    assert said["backends"][0]["reason"] == "TensorRT is not installed"
    assert said["backends"][0]["remedy"] == "pip install 'purecert[tensorrt]'"


@pytest.mark.parametrize(
    ("module", "backend", "words"),
    [
        ("tensorrt", "tensorrt", ("TensorRT is not installed", "pip install 'purecert[tensorrt]'")),
        ("tensorrt_rtx_bindings", "tensorrt-rtx", ("TensorRT-RTX is not installed", "'purecert[tensorrt-rtx]'")),
        ("pycuda", "tensorrt", ("pycuda is not installed", "pip install pycuda")),
        ("torch", "torch-cuda", ("PyTorch is not installed", "pip install 'purecert[export]'")),
        ("torch", "torch", ("PyTorch is not installed", "pip install 'purecert[export]'")),
        ("onnxruntime", "onnxruntime", ("ONNX Runtime is not installed", "pip install 'purecert[cpu]'")),
        ("onnxruntime", "onnxruntime-cuda", ("ONNX Runtime for GPUs is not", "pip install 'purecert[gpu-ort]'")),
    ],
)
def test_a_missing_package_is_named_with_its_command(module: str, backend: str, words: tuple[str, str]) -> None:
    packages = replace(HEALTHY.packages, modules=HEALTHY.packages.modules - {module})
    reason, remedy = _answer(replace(HEALTHY, packages=packages), backend)
    assert words[0] in reason
    assert words[1] in remedy


# --- 4: the plan is newer


def test_a_newer_plan_says_that_the_tool_must_be_upgraded(plan: Plan) -> None:
    path = plan.directory / PLAN_FILE
    record = json.loads(path.read_bytes()) | {"schema": "purecert.plan/99", "unheard": 1}
    path.write_text(json.dumps(record))
    (problem,) = report("--plan", plan.directory, "--backend", "onnxruntime", code=0)["plan"]["problems"]
    assert "newer than this tool: its schema is purecert.plan/99" in problem["reason"]
    assert problem["remedy"].startswith("pip install --upgrade purecert")


# --- 5: no AVX2


def test_a_processor_without_avx2_is_noticed(tmp_path: Path) -> None:
    listed = tmp_path / "cpuinfo"
    listed.write_text("processor\t: 0\nmodel name\t: Westmere\nflags\t\t: fpu sse2 sse4_2 avx\n\nprocessor\t: 1\n")
    flags = read_processor(listed).flags
    assert flags == {"fpu", "sse2", "sse4_2", "avx"}
    (notice,) = notices(replace(HEALTHY, processor=replace(HEALTHY.processor, flags=flags)))
    assert "this processor has no AVX2" in notice.reason
    assert "-cpu host" in notice.remedy


def test_a_runtime_that_dies_of_a_missing_instruction_says_which(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal is sent here; a processor without the instruction would raise the same one."""
    site.package("onnxruntime", {"__init__.py": "import os, signal; os.kill(os.getpid(), signal.SIGILL)"})
    monkeypatch.syspath_prepend(site.folder)  # type: ignore[no-untyped-call]
    processor = replace(HEALTHY.processor, flags=frozenset({"sse2"}))
    reason, remedy = _answer(replace(HEALTHY, processor=processor), "onnxruntime")
    assert reason == "it crashed with SIGILL: this processor has no AVX2"
    assert "-cpu host" in remedy
    reason, remedy = _answer(HEALTHY, "onnxruntime")
    assert reason == "it crashed with SIGILL"
    assert remedy == "pip install --force-reinstall onnxruntime-gpu"


# --- 6: the native module is missing


@pytest.mark.slow
def test_without_the_native_module_its_users_say_so_and_the_others_are_slower(site: Site) -> None:
    pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
    site.hide("purecert._kernels")
    said = report("--backend", "torch-compiled", code=3, path=site.folder)
    assert "the native module purecert._kernels is missing" in said["backends"][0]["reason"]
    assert "pip install --force-reinstall --no-deps ." in said["backends"][0]["remedy"]
    said = report("--backend", "torch", code=0, path=site.folder)
    (notice,) = said["notices"]
    assert "PyTorch draws the noise in its place: the same values, but slower" in notice["reason"]
    assert "sudo apt install g++" in notice["remedy"]


@_needs_onnxruntime
def test_without_any_way_to_draw_noise_nothing_is_usable(site: Site) -> None:
    site.hide("purecert._kernels")
    site.hide("torch")
    said = report("--backend", "onnxruntime", code=3, path=site.folder)
    assert "no way to draw noise" in said["backends"][0]["reason"]
    assert "nothing can draw noise" in said["notices"][0]["reason"]


# --- 7: the wrong CUDA


@_needs_compiler
def test_a_driver_older_than_the_runtimes_cuda_is_too_old(site: Site, tmp_path: Path) -> None:
    info = "package_name = 'onnxruntime-gpu'\n__version__ = '1.31.1'\ncuda_version = '13.0'\n"
    site.package("onnxruntime", {"capi/build_and_package_info.py": info})
    stub_driver(tmp_path / "driver", version=12020)
    said = report("--backend", "onnxruntime-cuda", code=3, path=site.folder, libraries=tmp_path / "driver")
    assert "runs CUDA 12.2 at most" in said["backends"][0]["reason"]
    assert "onnxruntime-gpu is built for CUDA 13.0: driver too old" in said["backends"][0]["reason"]
    assert "until nvidia-smi shows CUDA 13" in said["backends"][0]["remedy"]
    assert "sudo ubuntu-drivers install" in said["backends"][0]["remedy"]


@pytest.mark.parametrize("backend", _GPU_BACKENDS)
def test_every_gpu_backend_compares_its_own_cuda_with_the_drivers(backend: str) -> None:
    old = replace(HEALTHY, driver=replace(DRIVER, version="535.54", cuda=(12, 2)))
    reason, remedy = _answer(old, backend)
    assert "the NVIDIA driver 535.54 runs CUDA 12.2 at most" in reason
    assert "driver too old" in reason
    assert "install a newer NVIDIA driver" in remedy


def test_a_driver_newer_than_the_runtimes_cuda_is_no_fault() -> None:
    """What is then in the way is the absence of the real GPU."""
    newer = replace(HEALTHY, driver=replace(DRIVER, cuda=(14, 1)))
    for backend in ("tensorrt", "torch-cuda"):
        assert "driver too old" not in _answer(newer, backend)[0]


def test_two_runtimes_for_two_cudas_are_noticed() -> None:
    packages = replace(HEALTHY.packages, torch_cuda="12.8")
    (notice,) = notices(replace(HEALTHY, packages=packages))
    assert "ONNX Runtime is built for CUDA 13.0 and PyTorch for CUDA 12.8" in notice.reason
    assert "pip install 'onnxruntime-gpu[cuda,cudnn]'" in notice.remedy


# --- 8: a cache from elsewhere


@pytest.mark.parametrize("backend", ["torch", "torch-compiled"])
def test_a_cache_from_another_machine_is_foreign(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
    program, (graph,) = plan.cached_program(0.5), plan.record.graphs
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("XDG_CONFIG_HOME", os.fspath(tmp_path / "elsewhere"))
        write_trusted(program, b"code", graph.sha256)
    said = report("--plan", plan.directory, "--backend", backend, code=3)
    assert [problem["reason"] for problem in said["plan"]["problems"]] == [said["backends"][0]["reason"]]
    assert f"{program.name}: loading it runs code from it, and it does not carry this" in said["backends"][0]["reason"]
    assert f"rm '{program}' and export the plan on this machine, or pass --trust-plan" in said["backends"][0]["remedy"]


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        ("tensorrt", "sigma-0.5-tensorrt-0123456789abcdef.engine"),
        ("tensorrt-rtx", "sigma-0.5-tensorrt-rtx-0123456789abcdef.engine"),
        ("onnxruntime-tensorrt", "sigma-0.5-ort-tensorrt-0123456789abcdef.engines"),
    ],
)
def test_a_foreign_engine_stops_its_backend_on_a_machine_that_has_all_else(plan: Plan, backend: str, name: str) -> None:
    path = plan.directory / CACHE_DIRECTORY / name
    path.parent.mkdir()
    path.write_bytes(b"engine")
    reason, remedy = _answer(HEALTHY, backend, replace(_TRIAL, stops=check_plan(plan.directory).stops))
    assert f"{path}: loading it runs code from it, and it does not carry this machine's tag" in reason
    assert remedy.startswith(f"rm '{path}'")
    assert "--trust-plan" in remedy


@_needs_onnxruntime
def test_a_key_that_was_cut_short_does_not_end_the_doctor(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_trusted(plan.cached_program(0.5), b"code", plan.record.graphs[0].sha256)
    key = tmp_path / "config" / "purecert" / "machine.key"
    key.parent.mkdir(parents=True)
    key.write_bytes(b"key")
    monkeypatch.setenv("XDG_CONFIG_HOME", os.fspath(tmp_path / "config"))
    said = report("--plan", plan.directory, "--backend", "onnxruntime", code=0)
    assert f"{key}: expected 32 bytes, found 3" in said["plan"]["problems"][0]["reason"]
