"""Which versions of CUDA's libraries this process has loaded: they compute, whatever the packages' files say."""

import ctypes
import re
from collections.abc import Callable
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_MAJOR, _MINOR, _PATCH = 0, 1, 2  # of the CUDA libraries' property functions


def loaded_versions() -> dict[str, str]:
    """Return library -> version of what is loaded out of cuDNN, cuBLAS, the CUDA runtime and TensorRT.

    A library is asked itself, where it lies in this process's memory.
    """
    versions = {}
    for name, ask in _ASKING.items():
        path = _loaded(name)
        if path is not None:
            versions[name] = ask(ctypes.CDLL(path))
    return versions


def is_loaded(name: str) -> bool:
    """Whether this process has loaded the library ``name``, such as ``"cublas"``."""
    return _loaded(name) is not None


def _loaded(name: str) -> str | None:
    pattern = re.compile(rf"(/\S*/lib{name}\.so\S*)$")
    for line in _MAPS.read_text("utf-8", "replace").splitlines():
        if found := pattern.search(line):
            return found[1]
    return None


def _property(function: str) -> Callable[[ctypes.CDLL], str]:
    def ask(library: ctypes.CDLL) -> str:
        numbers = []
        for which in (_MAJOR, _MINOR, _PATCH):
            number = ctypes.c_int()
            status = library[function](which, ctypes.byref(number))
            numbers.append(str(number.value) if status == 0 else "?")
        return ".".join(numbers)

    return ask


def _cudnn(library: ctypes.CDLL) -> str:
    library.cudnnGetVersion.restype = ctypes.c_size_t
    return str(library.cudnnGetVersion())  # 91002 is 9.10.2


def _runtime(library: ctypes.CDLL) -> str:
    number = ctypes.c_int()
    library.cudaRuntimeGetVersion(ctypes.byref(number))
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def _tensorrt(library: ctypes.CDLL) -> str:
    return ".".join(str(library[f"getInferLib{part}Version"]()) for part in ("Major", "Minor", "Patch", "Build"))


_ASKING: dict[str, Callable[[ctypes.CDLL], str]] = {
    "cudnn": _cudnn,
    "cublas": _property("cublasGetProperty"),
    "cublasLt": _property("cublasLtGetProperty"),
    "cudart": _runtime,
    "nvinfer": _tensorrt,
}
