"""Pickles read without running anything of theirs: every name in a file stands for an inert object of our own."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from purecert.engine.errors import InputError
from purecert.train.readers.opened import HoldsCodeError, Stream, on_one_line
from purecert.train.readers.pickles.scan import MAX_OPERATIONS, is_key, scan

# What reading bytes that are no whole pickle can raise.
DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


def load_inert(
    stream: Stream,
    path: Path,
    names: Mapping[str, Any],
    *,
    persistent_load: Callable[[Any], Any] | None = None,
    protocol: int | None = None,
) -> Any:
    """Return what the pickle at the stream's position holds, and leave the stream just after it.

    Args:
        stream: A seekable stream.
        path: The file's name, for messages.
        names: What every dotted name that the pickle may hold stands for; other names are refused. The pickle may call
            what is callable and give a state to what takes one.
        persistent_load: Called with each persistent identifier; without it there may be none.
        protocol: The only protocol of pickle that is accepted, where there is one.

    Raises:
        InputError: The pickle is damaged, names anything else, or is made to exhaust memory or time.
    """
    start = stream.tell()
    try:
        scan(stream, path, protocol)
        stream.seek(start)
        return _InertUnpickler(stream, path, names, persistent_load).load()
    except DAMAGE as error:
        raise InputError(f"{path}: damaged or cut short ({type(error).__name__}); copy or fetch it again") from error


class Call:
    """Stands for a function that a pickle may call; the pickle cannot change it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function has no state")


class InertDict(dict[Any, Any]):
    """Stands for a class of mappings whose objects a pickle makes empty, and fills."""

    __slots__ = ()

    def __new__(cls) -> "InertDict":
        return super().__new__(cls)

    def __init__(self) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:  # without it, a state could set attributes of the class
        raise pickle.UnpicklingError("a mapping has no state")


class Copies:
    """Copies that the calls of one pickle ask for; it may ask for no more items than it can hold."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_OPERATIONS

    def charge(self, items: list[Any] | dict[Any, Any]) -> None:
        """Count the items that are about to be copied."""
        self._left -= len(items)
        if self._left < 0:
            raise pickle.UnpicklingError("copies more than the pickle holds")

    def set(self, items: Any = None) -> set[Any]:
        """Stands for the class of sets."""
        listed: list[Any] = [] if items is None else items
        if not isinstance(listed, list):
            raise pickle.UnpicklingError("a set is not made from a list")
        self.charge(listed)
        if not all(map(is_key, listed)):
            raise pickle.UnpicklingError("a set holds more than texts and small numbers")
        return set(listed)


class _InertUnpickler(pickle.Unpickler):
    def __init__(self, stream: Stream, path: Path, names: Mapping[str, Any], load: Callable[[Any], Any] | None) -> None:
        super().__init__(stream, encoding="utf-8")
        self._path = path
        self._names = names
        self._load = load

    def find_class(self, module: str, name: str) -> Any:
        dotted = f"{module}.{name}"
        if dotted not in self._names:
            raise HoldsCodeError(
                f"{self._path}: holds {on_one_line(dotted)}, which is more than plain types and tensors, so it is "
                "not loaded; save the weights alone (the state_dict) where the file comes from"
            )
        return self._names[dotted]

    def persistent_load(self, pid: Any) -> Any:
        if self._load is None:
            raise pickle.UnpicklingError("a persistent identifier where there may be none")
        return self._load(pid)
