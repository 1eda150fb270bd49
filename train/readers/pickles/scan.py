"""A walk over a pickle's operations that follows what lies on its stack, and carries none of them out.

Reading a pickle hashes keys and copies the arguments of calls. Both can take hours or all memory in a file of a few
hundred bytes, so both are judged here, before any of it is done.
"""

import pickle
import pickletools
from enum import Enum, auto
from pathlib import Path
from typing import Any

from purecert.engine.errors import InputError
from purecert.train.readers.opened import HoldsCodeError, Stream

# A published network of 1,000 tensors takes about 40,000 operations, with its optimiser three times that.
# Half a million of them take a second to read, here and in torch.
MAX_OPERATIONS = 500_000
# Descending into a tuple takes room on the C stack, which overflows at a nesting of some 100,000 levels.
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
_NAMES = frozenset({"GLOBAL", "PERSID"})  # whose argument is no text on the stack
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
        stream: Left just after the pickle.
        path: The file's name, for messages.
        protocol: The only protocol that is accepted, where there is one.

    Raises:
        InputError: It is made to exhaust memory or time, or is of another protocol.
        Exception: Any of ``DAMAGE`` of ``inert_pickles``: it is damaged.
    """
    symbols = _Symbols(path)
    argument: Any  # by the operation: a number, a text, bytes or None
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if count >= MAX_OPERATIONS:
            raise _too_many(path)
        if operation.name == "PROTO" and protocol not in (None, argument):
            raise InputError(f"{path}: written with pickle protocol {argument}; save it with torch.save's own, 2")
        # Like a far place in the memo, this makes the unpickler reserve as much before it looks at the file.
        if operation.name == "FRAME" and argument > _remaining(stream):
            raise InputError(f"{path}: damaged or cut short; a part claims {argument} bytes that are not there")
        # The two commonest operations, without the calls that the others take.
        if operation.name in _MEMO_READS:
            symbols.stack.append(symbols.memo[argument])
        elif argument is None and not operation.stack_before and operation.stack_after and operation.name != "MARK":
            symbols.stack.append(_Symbol.ARGUMENTS if operation.name == "EMPTY_TUPLE" else _Symbol.OTHER)
        else:
            symbols.follow(operation, argument)


def _too_many(path: Path) -> InputError:
    return InputError(f"{path}: holds far more objects than the weights of a network, so it is not loaded")


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


class _Symbols:
    """The stack and the memo of an unpickler, with symbols for the values."""

    __slots__ = ("_addresses", "_marks", "_path", "_tuples", "memo", "stack")

    def __init__(self, path: Path) -> None:
        self._path = path
        self.stack: list[_Symbol] = []
        self.memo: dict[int, _Symbol] = {}
        self._marks: list[int] = []  # where the marks lie on the stack
        self._addresses = 0  # that were keys
        self._tuples = 0

    def follow(self, operation: pickletools.OpcodeInfo, argument: Any) -> None:
        """Do to the symbols what an operation does to values."""
        name = operation.name
        if name in _MEMO_WRITES:
            if argument >= MAX_OPERATIONS:  # the unpickler would make room up to there
                raise InputError(f"{self._path}: damaged; no pickle numbers an object {argument}")
            self.memo[argument] = self._top()
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self._top()
        elif name == "MARK":
            self._marks.append(len(self.stack))
            self.stack.append(_Symbol.MARK)
        elif name in _REFUSED:
            raise HoldsCodeError(f"{self._path}: holds the operation {name}, which no file of weights needs")
        elif operation.stack_before:
            self._combine(operation)
        elif operation.stack_after:
            self.stack.append(self._value(name, argument))

    def _combine(self, operation: pickletools.OpcodeInfo) -> None:
        name, values = operation.name, self._take(operation)
        if name in _KEYS:
            self._check_keys(values[_KEYS[name]])
        if name in _CALLS and values[1] is not _Symbol.ARGUMENTS:
            raise HoldsCodeError(f"{self._path}: holds a call of more arguments than any of torch has")
        if name in _TUPLES:
            self._tuples += 1
            if self._tuples > _MAX_TUPLES:
                raise _too_many(self._path)
        if operation.stack_after:
            is_short = name in _TUPLES and len(values) <= _MAX_ARGUMENTS
            self.stack.append(_Symbol.ARGUMENTS if is_short else _Symbol.OTHER)

    def _top(self) -> _Symbol:
        if not self.stack or self.stack[-1] is _Symbol.MARK:
            raise pickle.UnpicklingError("nothing on the stack")
        return self.stack[-1]

    def _take(self, operation: pickletools.OpcodeInfo) -> list[_Symbol]:
        """Remove from the stack what an operation takes; return it without the mark."""
        before, values = operation.stack_before, []
        wanted = len(before)
        if pickletools.markobject in before:
            wanted = before.index(pickletools.markobject)
            mark = self._marks.pop()
            values = self.stack[mark + 1 :]
            del self.stack[mark:]
        start = len(self.stack) - wanted
        if start < 0 or (wanted and self._marks and self._marks[-1] >= start):
            raise pickle.UnpicklingError("too little on the stack")
        values = self.stack[start:] + values
        del self.stack[start:]
        return values

    def _check_keys(self, keys: list[_Symbol]) -> None:
        self._addresses += keys.count(_Symbol.ADDRESS)
        known = keys.count(_Symbol.KEY) + keys.count(_Symbol.ADDRESS)
        if known < len(keys) or self._addresses > _MAX_ADDRESSES:
            raise InputError(f"{self._path}: has keys that are neither texts nor small numbers, so it is not loaded")

    def _value(self, name: str, argument: Any) -> _Symbol:
        is_number = type(argument) is int
        if is_number and abs(argument) >= _MAX_NUMBER:
            raise InputError(f"{self._path}: holds a number of more than 64 bits, so it is not loaded")
        if is_number or (type(argument) is str and name not in _NAMES):
            if is_key(argument):
                return _Symbol.KEY
            return _Symbol.ADDRESS if is_number and 0 <= argument < _MAX_ADDRESS else _Symbol.OTHER
        return _Symbol.OTHER


def _remaining(stream: Stream) -> int:
    here = stream.tell()
    end = stream.seek(0, 2)
    stream.seek(here)
    return end - here
