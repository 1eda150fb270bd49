"""Machines that are not this one: a driver that is a stub, packages that are folders, modules that cannot be imported.

They stand for hardware that is not here and for installations that are broken. What looks at them is the real thing:
the loader of shared libraries, Python's import system, and processes of their own.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from purecert.engine.doctor.machine import Driver, Gpu, Machine, Native, Packages, Processor

ADA = Gpu(name="NVIDIA L4", capability=(8, 9))
DRIVER = Driver(version="580.65.06", cuda=(13, 0), gpus=(ADA,))

HEALTHY = Machine(
    purecert="0.1.0",
    python="3.12.0",
    system="Linux",
    processor=Processor(architecture="x86_64", model="a processor", flags=frozenset({"avx2", "avx512f"})),
    packages=Packages(
        versions={
            "onnxruntime-gpu": "1.31.1",
            "pycuda": "2026.1",
            "tensorrt": "11.4.0.106",
            "tensorrt-cu13-libs": "11.4.0.106",
            "tensorrt-rtx-cu13-libs": "1.7.1.116",
            "torch": "2.15.0",
        },
        modules=frozenset({"onnxruntime", "torch", "tensorrt", "tensorrt_rtx_bindings", "pycuda"}),
        onnxruntimes=("onnxruntime-gpu",),
        onnxruntime_files="onnxruntime-gpu",
        onnxruntime_cuda="13.0",
        torch_cuda="13.0",
    ),
    native=Native(kernels=None, cuda_architectures=(80, 86, 89, 90, 100, 120)),
    driver=DRIVER,
    compiler="g++",
)

_DRIVER = r"""
#include <cstring>
extern "C" {
int cuInit(unsigned) { return RESULT; }
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int length, int) { std::strncpy(name, "NVIDIA L4", length); return 0; }
int cuDeviceGetAttribute(int *value, int which, int) { *value = which == 75 ? 8 : which == 76 ? 9 : 0; return 0; }
int cuGetErrorName(int code, const char **name) { *name = "CUDA_ERROR_OF_THE_STUB"; return code == 999 ? 1 : 0; }
}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A folder that comes first on Python's path."""

    folder: Path

    def package(self, module: str, files: dict[str, str]) -> None:
        """Write a package of ``files``."""
        for name, content in {"__init__.py": "", **files}.items():
            path = self.folder / module / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def distribution(self, name: str, version: str) -> None:
        """Write what an installer leaves of a distribution."""
        folder = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")

    def hide(self, module: str) -> None:
        """Make ``module`` impossible to import, in every process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "sitecustomize.py").open("a") as file:
            file.write(f"import sys; sys.modules[{module!r}] = None\n")


def stub_driver(folder: Path, *, result: int = 0, version: int = 13000) -> None:
    """Write a libcuda.so.1 that starts with ``result`` and shows one GPU of compute capability 8.9."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "driver.cpp"
    source.write_text(_DRIVER.replace("RESULT", str(result)).replace("VERSION", str(version)))
    command = ["g++", "-shared", "-fPIC", str(source), "-o", os.fspath(folder / "libcuda.so.1")]
    subprocess.run(command, check=True)
