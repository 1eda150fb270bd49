"""The C++ compiler that PyTorch calls, as the doctor tells of it."""

from purecert.engine.backends.torch.cpp_compiler import CompilerFault, find_compiler
from purecert.engine.doctor.machine import Problem


def examine_compiler(seconds: float) -> str | Problem:
    """Return the compiler whose programs work, or what is wrong with it."""
    found = find_compiler(seconds)
    return Problem(reason=found.reason, remedy=found.remedy) if isinstance(found, CompilerFault) else found
