"""Pickles read without running anything of theirs: every name in a file stands for an inert object of our own."""

import pickle
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from purecert.engine.errors import InputError
from purecert.train.readers.opened import Stream, on_one_line

# A published network of 1,000 tensors takes about 40,000 operations, with its optimiser three times that.
# Half a million of them take a second to read, here and in torch.
_MAX_OPERATIONS = 500_000
# Hashing a tuple descends into it on the C stack, which overflows at a nesting of some 100,000 levels.
_MAX_TUPLES = 50_000
_TUPLES = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})
_MEMO_WRITES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})

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
    """Return what the pickle at the stream's position holds, and leave the stream behind it.

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
        _scan(stream, path, protocol)
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


class _InertUnpickler(pickle.Unpickler):
    def __init__(self, stream: Stream, path: Path, names: Mapping[str, Any], load: Callable[[Any], Any] | None) -> None:
        super().__init__(stream, encoding="utf-8")
        self._path = path
        self._names = names
        self._load = load

    def find_class(self, module: str, name: str) -> Any:
        dotted = f"{module}.{name}"
        if dotted not in self._names:
            raise InputError(
                f"{self._path}: holds {on_one_line(dotted)}, which is more than plain types and tensors, so it is "
                "not loaded; save the weights alone (the state_dict) where the file comes from"
            )
        return self._names[dotted]

    def persistent_load(self, pid: Any) -> Any:
        if self._load is None:
            raise pickle.UnpicklingError("a persistent identifier where there may be none")
        return self._load(pid)


def _scan(stream: Stream, path: Path, protocol: int | None) -> None:
    """Walk over a pickle's operations without carrying them out, and refuse those that only a bomb needs."""
    tuples = 0
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        number = argument if isinstance(argument, int) else 0
        tuples += operation.name in _TUPLES
        if count >= _MAX_OPERATIONS or tuples > _MAX_TUPLES:
            raise InputError(f"{path}: holds far more objects than the weights of a network, so it is not loaded")
        if operation.name == "PROTO" and protocol not in (None, argument):
            raise InputError(f"{path}: written with pickle protocol {argument}; save it with torch.save's own, 2")
        # Both claims make the unpickler reserve that much before it looks at the file.
        if operation.name in _MEMO_WRITES and number >= _MAX_OPERATIONS:
            raise InputError(f"{path}: damaged; no pickle numbers an object {argument}")
        if operation.name == "FRAME" and number > _remaining(stream):
            raise InputError(f"{path}: damaged or cut short; a part claims {argument} bytes that are not there")


def _remaining(stream: Stream) -> int:
    here = stream.tell()
    end = stream.seek(0, 2)
    stream.seek(here)
    return end - here
