"""The C++ compiler that PyTorch calls to compile a program, tried on a small library."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from purecert.engine.errors import Problem

_SOURCE = (
    "#include <omp.h>\n#include <iostream>\n#include <vector>\n"
    "int threads() { return std::vector<int>(1, omp_get_max_threads())[0]; }\n"
    "void print_threads() { std::cout << threads(); }\n"
)
_FLAGS = ("-std=c++17", "-O1", "-fopenmp", "-fPIC", "-shared")  # a library with OpenMP, as PyTorch asks for
_RUNTIMES = (b"libstdc++.so", b"libc++.so")
_INSTALL = "install a C++ compiler (Debian, Ubuntu: sudo apt install g++), or name one in CXX"
_TELLING = 200  # characters of a compiler's message that are worth a line


def find_compiler(seconds: float) -> str | Problem:
    """Return the compiler that PyTorch's own choice falls on, after it compiled a library, or what is wrong with it."""
    compiler = os.environ.get("CXX", "g++")  # as torch._inductor.config.cpp.cxx
    if not _is_one_word(compiler):
        return _unquoted("the C++ compiler's name", compiler, "name the compiler in CXX by a path without them")
    if not _is_one_word(tempfile.gettempdir()):
        remedy = "set TMPDIR to a folder whose path has none of them"
        return _unquoted("the path of the folder for temporary files", tempfile.gettempdir(), remedy)
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "trial.cpp", Path(folder) / "trial.so"
        source.write_text(_SOURCE)
        command = [compiler, *_FLAGS, str(source), "-o", str(library)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
        except OSError as error:
            return _fault(f"the C++ compiler {compiler} cannot be started ({error.strerror})")
        except subprocess.TimeoutExpired:
            return _fault(f"the C++ compiler {compiler} did not end within {seconds:.1f} s")
        if done.returncode != 0:
            said = " ".join(done.stderr.split())[:_TELLING]
            return _fault(f"the C++ compiler {compiler} does not compile: {said}")
        # A program's own copy of the C++ runtime numbers the parts of a locale otherwise than PyTorch's copy, and what
        # is looked up by such a number crashes. Seen on an image whose link libstdc++.so led nowhere, so that g++ took
        # libstdc++.a.
        if not any(name in library.read_bytes() for name in _RUNTIMES):
            return Problem(
                reason=f"the C++ compiler {compiler} puts a copy of its runtime into every library, so that "
                "PyTorch's programs crash or do not load",
                remedy="name another compiler in CXX, or mend this one's link libstdc++.so, which leads nowhere",
            )
    return compiler


def error_named_in(message: str) -> str:
    """Return the line of PyTorch's message about a failed compilation that names the C++ compiler's error, or ""."""
    said = message.partition("\nOutput:\n")[2].splitlines()
    return next((line.strip()[:_TELLING] for line in said if "error:" in line), "")


def _is_one_word(text: str) -> bool:
    """Whether PyTorch, which writes commands as one text and splits it like a shell, gets ``text`` back whole."""
    try:
        return shlex.split(text) == [text]
    except ValueError:  # a quotation mark that is alone
        return False


def _unquoted(what: str, text: str, remedy: str) -> Problem:
    return Problem(
        reason=f"{what} is {text!r}, and PyTorch's compiler takes no spaces, quotation marks or backslashes there",
        remedy=remedy,
    )


def _fault(reason: str) -> Problem:
    return Problem(reason=reason, remedy=_INSTALL)
