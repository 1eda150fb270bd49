"""What a file in torch.save's formats claims to hold, checked against what it holds before torch sees it.

torch.load with ``weights_only=True`` runs no code, but trusts sizes: it inflates bombs, lets a tensor grow beyond its
storage, and hands out memory that nothing was read into.
"""

import math
import pickle
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from purecert.engine.errors import InputError
from purecert.train.readers.opened import Stream, on_one_line
from purecert.train.readers.pickles.inert import Call, Copies, load_inert
from purecert.train.readers.pickles.scan import is_key

# The first pickle of the older format: the number 0x1950a86a20f9469cfc6c in protocol 2.
LEGACY_HEAD = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
ZIP_HEAD = b"PK"
_PROTOCOL = 2  # of torch.save; the reader behind weights_only knows no other
_MAX_DIMENSIONS = 64  # of a torch tensor
_MAX_ENTRIES = 20_000  # of a zip archive: one for each tensor, and a few
_MAX_NAME = 256  # of a storage; torch.save numbers them
_COUNT = struct.Struct("<q")  # before each storage of the older format: its number of elements

_ELEMENT_BYTES = {
    "Double": 8,
    "Float": 4,
    "Half": 2,
    "BFloat16": 2,
    "Long": 8,
    "Int": 4,
    "Short": 2,
    "Char": 1,
    "Byte": 1,
    "Bool": 1,
}
_DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


def check_zip(file: BufferedReader, path: Path) -> None:
    """Check a zip archive of torch.save.

    Raises:
        InputError: It is damaged, compressed, of another byte order, holds more than plain types and tensors, or
            claims more than it holds.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            _check_directory(archive, path)
            damaged = archive.testzip()
            if damaged is not None:
                raise InputError(f"{path}: the archive is damaged at {on_one_line(damaged)}; copy or fetch it again")
            _check_entries(archive, path)
    # A damaged archive makes zipfile, and what it calls (struct, the decoding of names), raise any of these.
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, LookupError, struct.error) as error:
        raise InputError(f"{path}: the archive is damaged or cut short; copy or fetch it again") from error


def _check_directory(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive whose entries would expand, by its directory alone."""
    assert archive.fp is not None  # it was opened for reading
    if len(archive.infolist()) > _MAX_ENTRIES:
        raise InputError(f"{path}: holds {len(archive.infolist())} entries, far more than a network has tensors")
    held, claimed = archive.fp.seek(0, 2), 0
    for entry in archive.infolist():
        claimed += entry.file_size
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.file_size != entry.compress_size:
            name = on_one_line(entry.filename)
            raise InputError(f"{path}: entry {name} is compressed; torch.save stores its entries as they are")
    if claimed > held:
        raise InputError(f"{path}: its entries claim {claimed} bytes, the file holds {held}, so it is not unpacked")
    if len(set(archive.namelist())) < len(archive.namelist()):
        raise InputError(f"{path}: the archive is damaged; it holds an entry twice")


def _check_entries(archive: zipfile.ZipFile, path: Path) -> None:
    names = archive.namelist()
    root = names[0].partition("/")[0] if names else ""
    if f"{root}/constants.pkl" in names:
        raise InputError(f"{path}: a TorchScript archive, which is code; expected weights saved by torch.save")
    if f"{root}/data.pkl" not in names:
        raise InputError(f"{path}: not an archive that torch.save wrote; it holds no data.pkl")
    if f"{root}/byteorder" in names and archive.getinfo(f"{root}/byteorder").file_size < 100:
        _check_byte_order(archive.read(f"{root}/byteorder") == b"little", path)
    claims = _Claims(path)
    pickled = BytesIO(archive.read(f"{root}/data.pkl"))
    load_inert(pickled, path, claims.names(), persistent_load=claims.storage, protocol=_PROTOCOL)
    for key, claimed in claims.sizes.items():
        entry = f"{root}/data/{key}"
        held = archive.getinfo(entry).file_size if entry in names else 0
        if held != claimed:
            raise InputError(f"{path}: storage {on_one_line(key)} claims {claimed} bytes, its entry holds {held}")


def _check_byte_order(is_little: bool, path: Path) -> None:
    if not is_little:
        raise InputError(
            f"{path}: written in another byte order than little-endian; save it on a little-endian machine"
        )


def check_legacy(file: Stream, path: Path) -> None:
    """Check a file of torch.save's older format: five pickles, then the elements of every storage.

    Raises:
        InputError: As ``check_zip``.
    """
    file.seek(len(LEGACY_HEAD))
    load_inert(file, path, {}, protocol=_PROTOCOL)  # the version of the format
    system = load_inert(file, path, {}, protocol=_PROTOCOL)
    _check_byte_order(isinstance(system, Mapping) and system.get("little_endian") is True, path)
    claims = _Claims(path)
    load_inert(file, path, claims.names(), persistent_load=claims.storage, protocol=_PROTOCOL)
    keys = load_inert(file, path, {}, protocol=_PROTOCOL)
    # Only a list of names is sorted: other values may take forever to print or to compare.
    named = isinstance(keys, list) and all(type(key) is str and len(key) <= _MAX_NAME for key in keys)
    if not named or sorted(keys) != sorted(claims.sizes):
        raise InputError(f"{path}: damaged; its list of storages is not that of its tensors")
    for key in keys:
        _skip_storage(file, claims, key, path)


def _skip_storage(file: Stream, claims: "_Claims", key: str, path: Path) -> None:
    head = file.read(_COUNT.size)
    start = file.tell()
    end = file.seek(0, 2)
    if len(head) < _COUNT.size or end - start < claims.sizes[key]:
        raise InputError(f"{path}: damaged or cut short at storage {on_one_line(key)}; copy or fetch it again")
    if _COUNT.unpack(head)[0] * claims.element_sizes[key] != claims.sizes[key]:
        raise InputError(f"{path}: damaged; storage {on_one_line(key)} has another size than its tensors")
    file.seek(start + claims.sizes[key])


class _Element(NamedTuple):  # a tuple, since a pickle cannot change one
    """Stands for a storage class; named by it, not called."""

    size: int  # in bytes


class _Storage(NamedTuple):
    elements: int


class _Inert(NamedTuple):
    """Stands for a tensor, a dtype or a device."""


_INERT: Final = _Inert()


class _OrderedDict(dict[Any, Any]):
    """Stands for an OrderedDict, whose attributes are counted and left out."""

    __slots__ = ("_copies",)

    def __init__(self, copies: Copies) -> None:
        super().__init__()
        self._copies = copies

    def __setstate__(self, state: Any) -> None:
        if type(state) is not dict:
            raise pickle.UnpicklingError("attributes are no mapping")
        self._copies.charge(state)


@dataclass(slots=True, eq=False)
class _Claims:
    """The storages that a pickle names, collected while its tensors are checked against them."""

    path: Path
    sizes: dict[str, int] = field(default_factory=dict)  # of each storage, in bytes
    element_sizes: dict[str, int] = field(default_factory=dict)  # of one element of each, in bytes
    copies: Copies = field(default_factory=Copies)

    def names(self) -> dict[str, Any]:
        """Return the names that a file of plain types and tensors may hold, and what they stand for."""
        elements = {f"torch.{name}Storage": _Element(size) for name, size in _ELEMENT_BYTES.items()}
        return elements | {
            "collections.OrderedDict": Call(self._ordered),
            "builtins.set": Call(self.copies.set),
            "__builtin__.set": Call(self.copies.set),
            "torch.Size": Call(self._size),
            "torch.device": Call(lambda *place: _INERT),
            "torch._utils._rebuild_tensor": Call(self._tensor),
            "torch._utils._rebuild_tensor_v2": Call(self._tensor),
            "torch._utils._rebuild_parameter": Call(lambda tensor, requires_grad, hooks: tensor),
            **{f"torch.{name}": _INERT for name in _DTYPES},
        }

    def storage(self, identifier: Any) -> _Storage:
        """Record a storage. ``identifier`` is ("storage", class, key, device, elements[, view])."""
        if not isinstance(identifier, tuple) or not 5 <= len(identifier) <= 6:
            raise InputError(f"{self.path}: damaged; a storage is not described as torch.save does")
        _, element, key, _, elements, *view = identifier
        if type(element) is not _Element or type(key) is not str or len(key) > _MAX_NAME or not _is_count(elements):
            raise InputError(f"{self.path}: damaged; a storage is not described as torch.save does")
        if self.sizes.setdefault(key, elements * element.size) != elements * element.size:
            raise InputError(f"{self.path}: damaged; storage {on_one_line(key)} has two sizes")
        self.element_sizes[key] = element.size
        if not view or view[0] is None:
            return _Storage(elements)
        _, offset, size = view[0]
        if not _is_count(offset) or not _is_count(size) or offset + size > elements:
            raise InputError(f"{self.path}: damaged; a view of storage {on_one_line(key)} reaches beyond it")
        return _Storage(size)

    def _ordered(self, pairs: Any = None) -> _OrderedDict:
        """Stands for OrderedDict, which Python 2 calls with a list of pairs."""
        ordered = _OrderedDict(self.copies)
        listed: list[Any] = [] if pairs is None else pairs
        if not isinstance(listed, list):
            raise InputError(f"{self.path}: damaged; an OrderedDict is not made from pairs")
        self.copies.charge(listed)
        for pair in listed:
            if not isinstance(pair, list | tuple) or len(pair) != 2 or not is_key(pair[0]):
                raise InputError(f"{self.path}: damaged; an OrderedDict is not made from texts and their values")
            ordered[pair[0]] = pair[1]
        return ordered

    def _size(self, lengths: Any) -> tuple[int, ...]:
        if not isinstance(lengths, list | tuple) or len(lengths) > _MAX_DIMENSIONS or not all(map(_is_count, lengths)):
            raise InputError(f"{self.path}: damaged; a shape is not described as torch.save does")
        return tuple(lengths)

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *others: Any) -> _Inert:
        if type(storage) is not _Storage:
            raise InputError(f"{self.path}: damaged; a tensor has no storage")
        check_extent(offset, size, stride, storage.elements, self.path)
        return _INERT


def check_extent(offset: Any, size: Any, stride: Any, elements: int, path: Path) -> None:
    """Check that a tensor lies within its storage and repeats none of it.

    Raises:
        InputError: It does not.
    """
    shaped = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= _MAX_DIMENSIONS
    if not shaped or not all(map(_is_count, (offset, *size, *stride))):
        raise InputError(f"{path}: damaged; a tensor is not described as torch.save does")
    if not (count := math.prod(size)):
        return
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if count > elements or last >= elements:
        raise InputError(f"{path}: a tensor claims {max(count, last + 1)} elements of a storage of {elements}")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62
