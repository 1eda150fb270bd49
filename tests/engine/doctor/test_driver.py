"""What the driver says is understood: a stub of its library stands for drivers and GPUs that are not here."""

import shutil
from pathlib import Path

import pytest

from support.doctors import report
from support.machines import stub_driver

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the stub of the driver")

_NIGHTLY = (pytest.mark.slow, pytest.mark.nightly)


def _said(tmp_path: Path, result: int) -> tuple[str, str]:
    stub_driver(tmp_path, result=result)
    (diagnosis,) = report("--backend", "tensorrt", code=3, libraries=tmp_path)["backends"]
    return diagnosis["reason"], diagnosis["remedy"]


@pytest.mark.parametrize(
    ("result", "remedy"),
    [
        (34, "unset LD_LIBRARY_PATH"),  # CUDA_ERROR_STUB_LIBRARY
        pytest.param(803, "sudo reboot", marks=_NIGHTLY),  # CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
        pytest.param(3, "nvidia-smi", marks=_NIGHTLY),  # CUDA_ERROR_NOT_INITIALIZED
    ],
)
def test_a_driver_that_does_not_start_is_named_by_its_own_word(tmp_path: Path, result: int, remedy: str) -> None:
    reason, found = _said(tmp_path, result)
    assert reason == "the NVIDIA driver does not start (CUDA_ERROR_OF_THE_STUB)"
    assert remedy in found


def test_an_error_without_a_name_is_told_by_its_number(tmp_path: Path) -> None:
    assert _said(tmp_path, 999)[0] == "the NVIDIA driver does not start (error 999)"


def test_no_gpu_is_told_apart_from_a_hidden_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "nvidia-smi -L" in _said(tmp_path / "one", 100)[1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    reason, remedy = _said(tmp_path / "other", 100)
    assert "CUDA_VISIBLE_DEVICES is ''" in reason
    assert remedy.startswith("unset CUDA_VISIBLE_DEVICES")


def test_a_driver_of_another_kind_of_machine_is_told_in_the_loaders_words(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").write_bytes(b"not a library")
    (diagnosis,) = report("--backend", "tensorrt", code=3, libraries=tmp_path)["backends"]
    assert diagnosis["reason"].startswith("there is no NVIDIA driver (")
    assert "libcuda.so.1" in diagnosis["reason"]
    assert "is not found" not in diagnosis["reason"]


def test_version_name_and_capability_are_the_drivers(tmp_path: Path) -> None:
    stub_driver(tmp_path, version=12080)
    driver = report("--backend", "torch-cuda", code=3, libraries=tmp_path)["machine"]["driver"]
    assert driver["cuda"] == [12, 8]
    assert driver["gpus"] == [{"name": "NVIDIA L4", "capability": [8, 9]}]
