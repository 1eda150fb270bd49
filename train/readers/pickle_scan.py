"""A walk over a pickle's operations that follows what lies on its stack, and carries none of them out.

Reading a pickle hashes keys and copies the arguments of calls. Both can take hours or all memory in a file of a few
hundred bytes, so both are judged here, before any of it is done.
"""

import pickle
import pickletools
from enum import Enum, auto
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from purecert.engine.errors import InputError
from purecert.train.readers.opened import Stream

# A published network of 1,000 tensors takes about 40,000 operations, with its optimiser three times that.
# Half a million of them take a second to read, here and in torch.
MAX_OPERATIONS = 500_000
# Freeing or copying a tuple descends into it on the C stack, which overflows at a nesting of some 100,000 levels.
_MAX_TUPLES = 50_000
_MAX_ARGUMENTS = 64  # of a call, which copies them; torch's own have 7 at most
_MAX_KEY_LENGTH = 4096  # equal texts are compared to their end
_SMALL = 2**24  # numbers below are too few to fill one slot of a hash table over and over
# Old optimisers number parameters by their addresses. From 2^61 - 1 on, different numbers share a hash.
_MAX_ADDRESS, _MAX_ADDRESSES = 2**61 - 1, 5000
_MAX_NUMBER = 2**64  # of any other number

_MEMO_WRITES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_MEMO_READS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_TUPLES = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})
_CALLS = frozenset({"REDUCE", "NEWOBJ"})
# No pickle of protocol 2 or later without classes of its own needs these.
_REFUSED = frozenset({"DUP", "EXT1", "EXT2", "EXT4", "INST", "NEWOBJ_EX", "NEXT_BUFFER", "OBJ", "READONLY_BUFFER"})
# Which of the values taken from the stack become keys.
_KEYS = {
    "SETITEM": slice(1, 2),
    "SETITEMS": slice(1, None, 2),
    "DICT": slice(0, None, 2),
    "ADDITEMS": slice(1, None),
    "FROZENSET": slice(0, None),
}


def scan(stream: Stream, path: Path, protocol: int | None) -> None:
    """Check the operations of the pickle at the stream's position.

    Args:
        stream: Left behind the pickle.
        path: The file's name, for messages.
        protocol: The only protocol that is accepted, where there is one.

    Raises:
        InputError: It is made to exhaust memory or time, or is of another protocol.
        Exception: Any of ``DAMAGE`` of ``inert_pickles``: it is damaged.
    """
    symbols = _Symbols(path)
    tuples = 0
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        number = argument if isinstance(argument, int) else 0
        tuples += operation.name in _TUPLES
        if count >= MAX_OPERATIONS or tuples > _MAX_TUPLES:
            raise InputError(f"{path}: holds far more objects than the weights of a network, so it is not loaded")
        if operation.name == "PROTO" and protocol not in (None, argument):
            raise InputError(f"{path}: written with pickle protocol {argument}; save it with torch.save's own, 2")
        # Both claims make the unpickler reserve that much before it looks at the file.
        if operation.name in _MEMO_WRITES and number >= MAX_OPERATIONS:
            raise InputError(f"{path}: damaged; no pickle numbers an object {argument}")
        if operation.name == "FRAME" and number > _remaining(stream):
            raise InputError(f"{path}: damaged or cut short; a part claims {argument} bytes that are not there")
        symbols.follow(operation, argument)


def is_key(value: object) -> bool:
    """Whether a value may be a key, or in a set: a text or a small number, which are hashed and compared at once."""
    if type(value) is int:
        return 0 <= value < _SMALL
    return type(value) is str and len(value) <= _MAX_KEY_LENGTH


class _Symbol(Enum):
    """What is known of a value on the stack."""

    MARK = auto()
    KEY = auto()
    ADDRESS = auto()  # a number that may be a key, though not often
    ARGUMENTS = auto()  # a short tuple
    OTHER = auto()


class _Plan(NamedTuple):
    name: str
    taken: int  # values from the stack, below the mark where there is one
    to_mark: bool  # whether everything above the topmost mark is taken, too
    given: int


@cache
def _plan(operation: pickletools.OpcodeInfo) -> _Plan:
    before = operation.stack_before
    to_mark = pickletools.markobject in before
    taken = before.index(pickletools.markobject) if to_mark else len(before)
    return _Plan(operation.name, taken, to_mark, len(operation.stack_after))


class _Symbols:
    """The stack and the memo of an unpickler, with symbols for the values."""

    __slots__ = ("_addresses", "_marks", "_memo", "_path", "_stack")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack: list[_Symbol] = []
        self._marks: list[int] = []  # where the marks lie on the stack
        self._memo: dict[int, _Symbol] = {}
        self._addresses = 0  # that were keys

    def follow(self, operation: pickletools.OpcodeInfo, argument: Any) -> None:
        plan = _plan(operation)
        if plan.name in _REFUSED:
            raise InputError(f"{self._path}: holds the operation {plan.name}, which no file of weights needs")
        if plan.name in _MEMO_WRITES:
            self._memo[argument] = self._top()
            return
        if plan.name == "MEMOIZE":
            self._memo[len(self._memo)] = self._top()
            return
        values = self._take(plan)
        if plan.name in _KEYS:
            self._check_keys(values[_KEYS[plan.name]])
        if plan.name in _CALLS and values[1] is not _Symbol.ARGUMENTS:
            raise InputError(f"{self._path}: holds a call of more arguments than any of torch has")
        if plan.given:
            self._give(plan.name, argument, len(values))

    def _top(self) -> _Symbol:
        if not self._stack or self._stack[-1] is _Symbol.MARK:
            raise pickle.UnpicklingError("nothing on the stack")
        return self._stack[-1]

    def _take(self, plan: _Plan) -> list[_Symbol]:
        values: list[_Symbol] = []
        if plan.to_mark:
            mark = self._marks.pop()
            values = self._stack[mark + 1 :]
            del self._stack[mark:]
        if plan.taken:
            start = len(self._stack) - plan.taken
            if start < 0 or (self._marks and self._marks[-1] >= start):
                raise pickle.UnpicklingError("too little on the stack")
            values = self._stack[start:] + values
            del self._stack[start:]
        return values

    def _check_keys(self, keys: list[_Symbol]) -> None:
        self._addresses += keys.count(_Symbol.ADDRESS)
        known = keys.count(_Symbol.KEY) + keys.count(_Symbol.ADDRESS)
        if known < len(keys) or self._addresses > _MAX_ADDRESSES:
            raise InputError(f"{self._path}: has keys that are neither texts nor small numbers, so it is not loaded")

    def _give(self, name: str, argument: Any, taken: int) -> None:
        symbol = _Symbol.OTHER
        if name == "MARK":
            self._marks.append(len(self._stack))
            symbol = _Symbol.MARK
        elif name in _MEMO_READS:
            symbol = self._memo[argument]
        elif name in _TUPLES or name == "EMPTY_TUPLE":
            symbol = _Symbol.ARGUMENTS if taken <= _MAX_ARGUMENTS else _Symbol.OTHER
        elif type(argument) is int:
            symbol = self._number(argument)
        elif type(argument) is str and name not in ("GLOBAL", "PERSID") and is_key(argument):
            symbol = _Symbol.KEY
        self._stack.append(symbol)

    def _number(self, value: int) -> _Symbol:
        if abs(value) >= _MAX_NUMBER:
            raise InputError(f"{self._path}: holds a number of more than 64 bits, so it is not loaded")
        if is_key(value):
            return _Symbol.KEY
        return _Symbol.ADDRESS if 0 <= value < _MAX_ADDRESS else _Symbol.OTHER


def _remaining(stream: Stream) -> int:
    here = stream.tell()
    end = stream.seek(0, 2)
    stream.seek(here)
    return end - here
