"""By which path noise is drawn: the native kernel, by the widest vectors that the processor has, or torch.

The first use without the kernel says so once, as a warning of the logger ``purecert``, which goes to stderr unless the
program sets up logging otherwise.
"""

import logging
from functools import lru_cache
from typing import Literal, cast, get_args

from purecert.engine.errors import BackendError, InputError

# The last four are what there is; "native" is the fastest of the three before torch that the processor runs.
NoisePath = Literal["native", "portable", "avx2", "avx512", "torch"]


@lru_cache(maxsize=1)
def active_path() -> NoisePath:
    """Return the path that ``path=None`` takes, never "native"; the first call warns where that is torch.

    Raises:
        BackendError: Neither the native module nor torch can be imported.
    """
    native = _missing("native")
    if native is None:
        return _fastest_native()
    torch = _missing("torch")
    if torch is not None:
        raise BackendError(
            f"no way to draw noise: the native module is missing ({native}) and so is torch ({torch}); "
            f"reinstall purecert with a C++17 compiler, or install torch"
        )
    logging.getLogger("purecert").warning(
        "the native noise module is missing (%s); torch draws the noise instead: the same values, but slower. "
        "Reinstall purecert with a C++17 compiler to get it back",
        native,
    )
    return "torch"


def chosen_path(path: NoisePath | None) -> NoisePath:
    """Return the path to take, never "native"."""
    if path is None:
        return active_path()
    if path not in get_args(NoisePath):
        raise InputError(f"expected path to be {', '.join(get_args(NoisePath))} or None, got {path!r}")
    reason = _missing(path)
    if reason is not None:
        raise BackendError(f"noise path {path} was asked for but cannot be used ({reason}); leave path out")
    return _fastest_native() if path == "native" else path


@lru_cache(maxsize=len(get_args(NoisePath)))
def _missing(path: NoisePath) -> str | None:
    """Return why ``path`` cannot be used, or None if it can."""
    try:
        if path == "torch":
            import purecert.engine.noise.torch_rows  # noqa: F401

            return None
        from purecert import _kernels
    except ImportError as error:
        return str(error)
    here = _kernels.paths()
    return None if path == "native" or path in here else f"this processor runs {', '.join(here)}"


def _fastest_native() -> NoisePath:
    from purecert import _kernels

    return cast(NoisePath, _kernels.paths()[0])
