"""What opening a backend has come to before its rows are checked."""

from collections.abc import Callable
from dataclasses import dataclass

from purecert.engine.backends.base import Backend, BackendInfo
from purecert.engine.backends.graph import HostGraph


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A graph that is loaded but not yet checked, and how to make a backend of it."""

    graph: HostGraph
    hardware: str
    backend: Callable[[BackendInfo], Backend]
