"""NVIDIA's driver, asked through its own libraries: no runtime and no toolkit takes part."""

import ctypes
import os
from typing import Any

from purecert.engine.doctor.machine import Driver, Gpu
from purecert.engine.errors import UnusableError

# Values of CUresult and CUdevice_attribute, from the documentation of the CUDA driver API.
_STUB_LIBRARY, _NO_DEVICE, _SYSTEM_DRIVER_MISMATCH = 34, 100, 803
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_NAME_BYTES = 256
_NOT_FOUND = "libcuda.so.1: cannot open shared object file: No such file"  # what the loader says

INSTALL_DRIVER = (
    "install NVIDIA's driver (Ubuntu: sudo ubuntu-drivers install; Debian: sudo apt install nvidia-driver) and restart"
    "; a container must be started with its GPUs (docker run --gpus all)"
)
_REMEDIES = {
    _STUB_LIBRARY: "take the toolkit's folder `stubs` out of LD_LIBRARY_PATH: unset LD_LIBRARY_PATH",
    _NO_DEVICE: "look for GPUs: nvidia-smi -L; a container must be started with them (docker run --gpus all)",
    _SYSTEM_DRIVER_MISMATCH: "restart, so that the driver's kernel module is the one installed: sudo reboot",
}
_OTHER_REMEDY = "see what the driver says: nvidia-smi; then restart the machine: sudo reboot"


def read_driver() -> Driver:
    """Return the driver and the GPUs that this process sees.

    Raises:
        UnusableError: There is no driver, it does not start, or it shows no GPU.
    """
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        detail = "libcuda.so.1 is not found" if _NOT_FOUND in str(error) else str(error)
        raise UnusableError(f"there is no NVIDIA driver ({detail})", INSTALL_DRIVER) from error
    _check(cuda, cuda.cuInit(0), "start")
    version, count = ctypes.c_int(), ctypes.c_int()
    _check(cuda, cuda.cuDriverGetVersion(ctypes.byref(version)), "tell its version")
    _check(cuda, cuda.cuDeviceGetCount(ctypes.byref(count)), "count its GPUs")
    if count.value < 1:
        _check(cuda, _NO_DEVICE, "show a GPU")
    gpus = tuple(_gpu(cuda, ordinal) for ordinal in range(count.value))
    # 1000 times the major version and 10 times the minor one.
    offered = (version.value // 1000, version.value % 1000 // 10)
    return Driver(version=_driver_version(), cuda=offered, gpus=gpus)


def _gpu(cuda: Any, ordinal: int) -> Gpu:
    device, name = ctypes.c_int(), ctypes.create_string_buffer(_NAME_BYTES)
    _check(cuda, cuda.cuDeviceGet(ctypes.byref(device), ordinal), "open a GPU")
    _check(cuda, cuda.cuDeviceGetName(name, _NAME_BYTES, device), "name a GPU")
    major, minor = (_attribute(cuda, device, which) for which in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR))
    return Gpu(name=name.value.decode("utf-8", "replace"), capability=(major, minor))


def _attribute(cuda: Any, device: ctypes.c_int, which: int) -> int:
    value = ctypes.c_int()
    _check(cuda, cuda.cuDeviceGetAttribute(ctypes.byref(value), which, device), "describe a GPU")
    return value.value


def _check(cuda: Any, result: int, doing: str) -> None:
    if result == 0:
        return
    name = ctypes.c_char_p()
    known = cuda.cuGetErrorName(result, ctypes.byref(name)) == 0 and name.value is not None
    said = (name.value or b"").decode("ascii", "replace") if known else f"error {result}"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if result == _NO_DEVICE and hidden is not None:
        reason = f"the driver shows no GPU ({said}), and CUDA_VISIBLE_DEVICES is {hidden!r}"
        raise UnusableError(reason, "unset CUDA_VISIBLE_DEVICES, or name a GPU of nvidia-smi -L")
    raise UnusableError(f"the NVIDIA driver does not {doing} ({said})", _REMEDIES.get(result, _OTHER_REMEDY))


def _driver_version() -> str | None:
    """Return the driver's own version, or None where its management library does not tell."""
    try:
        management = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None  # some containers have the driver without it, and nothing but this line needs it
    version = ctypes.create_string_buffer(_NAME_BYTES)
    if management.nvmlInit_v2() != 0:
        return None
    told = management.nvmlSystemGetDriverVersion(version, _NAME_BYTES) == 0
    management.nvmlShutdown()
    return version.value.decode("ascii", "replace") if told else None
