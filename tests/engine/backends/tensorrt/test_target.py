"""The GPU at hand is asked for through pycuda, here a driver of our making."""

import sys
from types import ModuleType
from typing import Any

import pytest

from purecert.engine.backends.tensorrt.target import Target, any_gpu, this_gpu
from purecert.engine.errors import BackendError, InputError


class _DriverError(Exception):
    """What pycuda raises."""


def _driver(failure: str | None) -> Any:
    module: Any = ModuleType("pycuda.driver")

    class Device:
        def __init__(self, number: int) -> None:
            assert number == 0

        @staticmethod
        def count() -> int:
            return 1

        def name(self) -> str:
            return "NVIDIA H200"

        def compute_capability(self) -> tuple[int, int]:
            return 9, 0

    def init() -> None:
        if failure:
            raise _DriverError(failure)

    module.Device, module.init, module.Error = Device, init, _DriverError
    return module


def _install(monkeypatch: pytest.MonkeyPatch, failure: str | None = None) -> None:
    driver, package = _driver(failure), ModuleType("pycuda")
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", driver)


def test_this_gpu_is_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch)
    assert this_gpu() == Target(gpu="NVIDIA H200", capability="sm_90")


def test_without_a_driver_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, "cuInit failed: no CUDA-capable device is detected")
    with pytest.raises(BackendError, match=r"expected a GPU, but its driver says: cuInit failed: .*nvidia-smi"):
        this_gpu()


def test_without_pycuda_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(BackendError, match=r"expected pycuda, .*pip install pycuda"):
        this_gpu()


@pytest.mark.parametrize("text", ["", "89", "sm89", "sm_", "sm_9", "sm_089", "SM_89", "sm_89a", "sm_89\n", "sm_1000"])
def test_a_capability_is_written_in_one_way(text: str) -> None:
    with pytest.raises(InputError, match="expected a compute capability such as sm_89, got"):
        any_gpu(text)
