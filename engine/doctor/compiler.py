"""The C++ compiler that PyTorch calls to compile a program, tried on a file of three lines."""

import os
import subprocess
import tempfile
from pathlib import Path

from purecert.engine.doctor.machine import Problem

_SOURCE = (
    "#include <omp.h>\n#include <vector>\nint threads() { return std::vector<int>(1, omp_get_max_threads())[0]; }\n"
)
_FLAGS = ("-std=c++17", "-O1", "-fopenmp", "-fPIC", "-shared")  # a library with OpenMP, as PyTorch asks for
_REMEDY = "install a C++ compiler (Debian, Ubuntu: sudo apt install g++), or name one in CXX"
_TELLING = 200  # characters of a compiler's message that are worth a line


def find_compiler(seconds: float) -> str | Problem:
    """Return the compiler that PyTorch's own choice falls on, after it compiled a file, or what is wrong with it."""
    compiler = os.environ.get("CXX", "g++")  # as torch._inductor.config.cpp.cxx
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "trial.cpp"
        source.write_text(_SOURCE)
        command = [compiler, *_FLAGS, str(source), "-o", str(source.with_suffix(".so"))]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
        except OSError as error:
            return Problem(reason=f"the C++ compiler {compiler} cannot be started ({error.strerror})", remedy=_REMEDY)
        except subprocess.TimeoutExpired:
            return Problem(reason=f"the C++ compiler {compiler} did not end within {seconds:.1f} s", remedy=_REMEDY)
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[:_TELLING]
        return Problem(reason=f"the C++ compiler {compiler} does not compile: {said}", remedy=_REMEDY)
    return compiler
