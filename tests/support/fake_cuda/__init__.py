"""A CUDA driver for machines without one, on which the real pycuda works: it stands in for a GPU that is not there.

A process has one driver, and other CUDA libraries would find this one too. So no test loads it into the process of the
whole test run: ``cases.run_cases`` starts a process whose ``LD_LIBRARY_PATH`` leads here.
"""

import os
import subprocess
from pathlib import Path

_SONAME = "libcuda.so.1"  # what every program asks the system for
_FLAGS = ["-std=c++17", "-O0", "-g", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra"]


def build_driver(folder: Path) -> Path:
    """Return the driver's library, compiled into ``folder`` under the names that the loader and the linker look for.

    Raises:
        FileNotFoundError: There is no C++ compiler.
        RuntimeError: It refused the sources.
    """
    library = folder / _SONAME
    sources = sorted(Path(__file__).parent.glob("*.cpp"))
    compiler = os.environ.get("CXX", "g++")
    command = [compiler, *_FLAGS, f"-Wl,-soname,{_SONAME}", "-o", os.fspath(library), *map(os.fspath, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"expected {compiler} to build the fake driver, got: {done.stderr}")
    (folder / "libcuda.so").symlink_to(_SONAME)
    return library
