"""TensorRT, and TensorRT-RTX, which is a library of its own for RTX cards."""

from purecert.engine.doctor.diagnosis import Trial, try_batch
from purecert.engine.doctor.machine import Machine
from purecert.engine.doctor.requirements import (
    cuda_of_distributions,
    require_cuda,
    require_gpu,
    require_kernels,
    require_module,
)

_INSTALL = "pip install 'purecert[tensorrt]'"
_INSTALL_RTX = "pip install 'purecert[tensorrt-rtx]'"
_INSTALL_PYCUDA = "install the CUDA toolkit that it is compiled with (nvcc must be on PATH), then: pip install pycuda"


def examine_tensorrt(machine: Machine, trial: Trial) -> str:
    """Return what built an engine of the doctor's plan in TensorRT and ran a batch in it."""
    return _examine(machine, trial, "tensorrt", "TensorRT", "tensorrt", _INSTALL)


def examine_rtx(machine: Machine, trial: Trial) -> str:
    """Return what built an engine of the doctor's plan in TensorRT-RTX and ran a batch in it."""
    return _examine(machine, trial, "tensorrt-rtx", "TensorRT-RTX", "tensorrt_rtx_bindings", _INSTALL_RTX)


def _examine(machine: Machine, trial: Trial, backend: str, name: str, module: str, install: str) -> str:
    driver, gpu = require_gpu(machine)
    require_module(machine, module, name, install)
    require_module(machine, "pycuda", "pycuda", _INSTALL_PYCUDA)
    # The names of its packages say which CUDA it is built for: tensorrt-cu13-libs.
    built_for = cuda_of_distributions(machine, rf"{backend}-cu(\d+)(?:-libs|-bindings)?")
    if built_for is not None:
        require_cuda(driver, name, built_for)
    require_kernels(machine, gpu)
    return try_batch(machine, trial, backend, f"see that {name} supports this GPU and driver, or reinstall: {install}")
