"""purecert's own native modules, imported and asked."""

import numpy as np

from purecert.engine.errors import UnusableError

_REINSTALL = "pip install --force-reinstall --no-deps ."
REINSTALL_KERNELS = f"reinstall purecert with a C++17 compiler (sudo apt install g++), in its checkout: {_REINSTALL}"
REINSTALL_CUDA = f"reinstall purecert where nvcc works, in its checkout: PURECERT_CUDA=on {_REINSTALL}"

# Philox4x32-10 of a counter and a key of ones: a known answer of Random123 (Salmon et al., 2011).
_ONES = 0xFFFFFFFF
_ANSWER = [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def check_kernels() -> None:
    """Import the host's kernels and compare one block of random words with its published value.

    Raises:
        UnusableError: They are missing, or answer otherwise.
    """
    try:
        import purecert._kernels as kernels
    except ImportError as error:
        raise UnusableError(f"the native module purecert._kernels is missing ({error})", REINSTALL_KERNELS) from error
    words = kernels.philox4x32(np.full(4, _ONES, np.uint32), np.full(2, _ONES, np.uint32))
    if words.tolist() != _ANSWER:
        raise UnusableError("the native module purecert._kernels computes other words than Philox's", REINSTALL_KERNELS)


def cuda_architectures() -> tuple[int, ...]:
    """Return what the GPU's kernels were built for, e.g. (80, 90); importing them needs no GPU.

    Raises:
        UnusableError: They are missing.
    """
    try:
        import purecert._cuda as kernels
    except ImportError as error:
        raise UnusableError(f"the CUDA kernels purecert._cuda are missing ({error})", REINSTALL_CUDA) from error
    return tuple(int(number) for number in kernels.architectures().split())
