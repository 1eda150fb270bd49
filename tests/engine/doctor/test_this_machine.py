"""The answers about the machine that the tests run on, beside what opening each backend for real says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from ctypes import CDLL
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.backends.registry import BACKENDS
from purecert.engine.doctor.examination import EXAMINATIONS, examine
from purecert.engine.errors import BackendError
from purecert.engine.hardware import describe_cpu
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import read_plan
from support.commands import engine
from support.doctors import doctor, report

_ON_GPUS = ("torch-cuda", "tensorrt", "tensorrt-rtx", "onnxruntime-cuda", "onnxruntime-tensorrt")


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    return report(code=0)


@pytest.fixture
def _driverless() -> Iterator[None]:
    try:
        CDLL("libcuda.so.1")
    except OSError:
        yield
    else:
        pytest.skip("there is a driver here")


def _usable(said: dict[str, Any]) -> dict[str, bool]:
    return {one["backend"]: one["usable"] for one in said["backends"]}


def test_every_backend_has_an_answer(said: dict[str, Any]) -> None:
    assert list(_usable(said)) == list(EXAMINATIONS)
    assert set(BACKENDS) <= set(EXAMINATIONS)
    for one in said["backends"]:
        assert one["reason"]
        assert (one["remedy"] is None) == one["usable"]
        assert 0 <= one["seconds"] <= said["seconds"]


@pytest.mark.usefixtures("_driverless")
def test_without_a_driver_no_gpu_backend_is_usable(said: dict[str, Any]) -> None:
    assert not any(_usable(said)[backend] for backend in _ON_GPUS)


def test_a_host_backend_is_usable_where_its_package_is(said: dict[str, Any]) -> None:
    assert _usable(said)["onnxruntime"] == (find_spec("onnxruntime") is not None)
    assert _usable(said)["torch"] == (find_spec("torch") is not None)


def test_the_machine_is_this_one(said: dict[str, Any]) -> None:
    machine = said["machine"]
    assert f"{machine['processor']['architecture']} {machine['processor']['model']}" == describe_cpu()
    assert machine["python"] == ".".join(map(str, sys.version_info[:3]))
    for name, version in machine["packages"]["versions"].items():
        found = [sys.executable, "-c", f"from importlib.metadata import version; print(version({name!r}))"]
        assert subprocess.run(found, capture_output=True, text=True, check=True).stdout.strip() == version


def test_the_native_modules_are_what_can_be_imported(said: dict[str, Any]) -> None:
    assert (said["machine"]["native"]["kernels"] is None) == (find_spec("purecert._kernels") is not None)
    built = said["machine"]["native"]["cuda_architectures"]
    assert isinstance(built, list) == (find_spec("purecert._cuda") is not None)


@pytest.mark.slow
@pytest.mark.parametrize("backend", [name for name in EXAMINATIONS if name in BACKENDS and name != "torch-compiled"])
def test_opening_a_backend_for_real_agrees(backend: str, said: dict[str, Any], demo_plan: Path) -> None:
    images = load_dataset("digits:test[:4]").images
    options = BackendOptions(name=backend, batch=8, probe_rows=8)
    try:
        open_backend(read_plan(demo_plan), 0.5, 1, options, images, np.arange(len(images))).close()
    except BackendError:
        assert not _usable(said)[backend]
    else:
        assert _usable(said)[backend]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnxruntime", pytest.param("torch", marks=pytest.mark.nightly)])
def test_a_whole_plan_of_this_machine_is_tried_itself(backend: str, demo_plan_fp16: Path) -> None:
    said = report("--plan", demo_plan_fp16, "--backend", backend, code=0)
    assert said["plan"]["problems"] == []
    assert said["backends"][0]["reason"].startswith("ran a batch of the plan (")


@pytest.mark.slow
@pytest.mark.nightly
def test_the_text_says_the_same(said: dict[str, Any]) -> None:
    text = doctor().expect(0).out
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert [(name, usable) for name, usable, _ in rows[2:]] == [
        (one["backend"], "yes" if one["usable"] else "no") for one in said["backends"]
    ]
    for one in said["backends"]:
        assert one["remedy"] is None or f"{one['backend']}" in text.split("To mend:")[1]
        assert one["remedy"] is None or one["remedy"] in text


def test_a_part_that_does_not_answer_in_time_is_given_up() -> None:
    """No Python starts in ten milliseconds: every question runs into its limit, and the doctor still answers."""
    said = json.loads(examine(tuple(EXAMINATIONS), None, 0.01).to_json())
    assert not any(_usable(said).values())
    assert "no answer within" in said["machine"]["driver"]["reason"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--backend", "cuda"), "expected a backend out of onnxruntime, openvino, torch"),
        (("--timeout", "0"), "expected --timeout in 1 to 3600 seconds, got 0.0"),
        (("--timeout", "nan"), "expected --timeout in 1 to 3600 seconds, got nan"),
        (("--timeout", "inf"), "expected --timeout in 1 to 3600 seconds, got inf"),
        (("--timeout", "1e20"), "expected --timeout in 1 to 3600 seconds, got 1e+20"),
        (("--plan", "nowhere"), "nowhere: expected a plan directory, found nothing there"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: tuple[str, str], words: str) -> None:
    ended = engine("doctor", *arguments).expect(2)
    assert words in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from purecert.engine.commands.doctor import doctor_command\n"
        "try: doctor_command(['--help'])\n"
        "finally: print([m for m in ('torch', 'numpy', 'onnxruntime', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage:" in done.stdout
    assert done.stdout.strip().endswith("[]")


def test_the_doctor_itself_imports_no_runtime() -> None:
    code = (
        "import sys\n"
        "import purecert.engine.doctor.examination, purecert.engine.doctor.table\n"
        "print([m for m in ('torch', 'onnxruntime', 'tensorrt', 'tensorrt_rtx_bindings') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
