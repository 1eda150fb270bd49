"""Which noise paths there are, and which of them this machine has."""

from importlib.util import find_spec

from purecert.engine.noise.paths import NoisePath

PATHS: tuple[NoisePath, ...] = ("portable", "avx2", "avx512", "torch")


def missing_path(path: NoisePath) -> str | None:
    """Return why ``path`` cannot be tried here, as a reason to skip; None where it can.

    Asked of the machine and not of ``purecert.engine.noise.rows``, which is what is tested.
    """
    if path == "torch":
        return None if find_spec("torch") else "torch is not installed"
    if find_spec("purecert._kernels") is None:
        return "the native module is not built"
    return None if path == "portable" or _has(path) else f"this processor has no {path}"


def _has(path: NoisePath) -> bool:
    with open("/proc/cpuinfo") as file:
        flags = next((line.split() for line in file if line.startswith("flags")), [])
    needed = {"avx2": ("avx2", "f16c"), "avx512": ("avx512f", "avx512bw")}
    return all(flag in flags for flag in needed[path])
