"""TensorRT or TensorRT-RTX as a Python module, and what it says while it works."""

import importlib
import logging
from collections import deque
from types import ModuleType
from typing import Any, Literal, final

from purecert.engine.errors import BackendError, OutOfMemoryError, PurecertError

LibraryName = Literal["tensorrt", "tensorrt-rtx"]

_log = logging.getLogger("purecert")
_MODULES: dict[LibraryName, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx_bindings"}
_OLDEST = (10, 12)  # of TensorRT: the first that deprecates typing by builder flags
_KEPT_ERRORS = 3
_OUT_OF_MEMORY = ("outofmemory", "out of memory", "workspace limit", "bad_alloc")
_REPORT_BEGINS = "Layers:"


def load_library(name: LibraryName) -> ModuleType:
    """Return the Python module of TensorRT or TensorRT-RTX; the two have nearly the same interface.

    Raises:
        BackendError: It is not installed, cannot be loaded, or is a TensorRT older than 10.12.
    """
    remedy = f"install it with `pip install 'purecert[{name}]'`"
    try:
        module = importlib.import_module(_MODULES[name])
    except (ImportError, OSError, RuntimeError) as error:  # its wheels load shared libraries when they are imported
        if isinstance(error, ModuleNotFoundError) and error.name == _MODULES[name]:
            raise BackendError(f"expected {name} to be installed, found none ({error}); {remedy}") from error
        raise BackendError(f"{name} is installed but cannot be loaded ({error}); {remedy} again") from error
    version = library_version(module)
    if name == "tensorrt" and _numbers(version) < _OLDEST:
        raise BackendError(f"expected tensorrt 10.12 or newer, found {version}; {remedy}")
    return module


def library_version(module: ModuleType) -> str:
    """Return the version of a loaded library, e.g. ``"11.4.0.106"``."""
    return str(module.__version__)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


@final
class Heard:
    """What a library said: its last errors, and the layer reports of the engines that it built."""

    def __init__(self) -> None:
        self.errors: deque[str] = deque(maxlen=_KEPT_ERRORS)
        self.reports: list[str] = []

    def hear(self, severity: str, message: str) -> None:
        """Take one message of the library; ``severity`` is the name of its level."""
        if message.startswith(_REPORT_BEGINS):
            self.reports.append(message)
        elif severity in ("INTERNAL_ERROR", "ERROR"):
            # Not logged as errors: they are part of the one line that the command ends with.
            self.errors.append(_one_line(message))
            _log.debug("TensorRT: %s", _one_line(message))
        elif severity == "WARNING":
            _log.warning("TensorRT: %s", _one_line(message))

    def why(self) -> str:
        """Return the last errors in one line, for an error message."""
        return "; ".join(self.errors) or "it does not say why"


def failure(heard: Heard, message: str) -> PurecertError:
    """Return the error to raise where a library could not do its work, with what was heard of why.

    Args:
        heard: What the library said meanwhile.
        message: What it could not do, e.g. ``"tensorrt 11.4 cannot build the engine"``.

    Returns:
        An OutOfMemoryError where the library said so, else a BackendError.
    """
    why = heard.why()
    if any(sign in why.lower() for sign in _OUT_OF_MEMORY):
        return OutOfMemoryError(f"{message}: out of memory ({why}); try a smaller --batch")
    return BackendError(f"{message}: {why}")


def listen(module: ModuleType) -> tuple[Any, Heard]:
    """Return a logger for the library's builder, parser and runtime, and what it will have heard.

    The library keeps no reference to the logger: it must live as long as they do.
    """
    heard = Heard()

    class Logger(module.ILogger):  # type: ignore[misc, name-defined]  # the class of whichever library was loaded
        def __init__(self) -> None:
            module.ILogger.__init__(self)  # pybind11 insists on this, and super() is not enough for it

        def log(self, severity: Any, message: str) -> None:
            heard.hear(severity.name, message)

    return Logger(), heard


def _one_line(message: str) -> str:
    return " ".join(message.split())
