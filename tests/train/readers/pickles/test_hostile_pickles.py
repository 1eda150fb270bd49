"""Pickles that ask for endless time or all memory while they are read, each refused at once by every reader."""

import io
import pickletools
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from purecert.train.readers.edm_files import read_edm
from purecert.train.readers.safetensors_files import read_safetensors
from purecert.train.readers.torch_files import read_torch
from support.refusals import refuse_at_once, write_files

_READERS: list[Callable[[Path], object]] = [read_torch, read_safetensors, read_edm]


def _legacy_file() -> bytes:
    stream = io.BytesIO()
    torch.save({}, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def _zipped(pickled: bytes) -> bytes:
    """Return an archive of torch.save that holds a pickle of protocol 2 and no storages."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + pickled)
        archive.writestr("a/byteorder", "little")
    return stream.getvalue()


def _pickled(pickled: bytes) -> bytes:
    return b"\x80\x04" + pickled


def _doubling(first: bytes, double: bytes, levels: int = 60) -> bytes:
    """Return operations that leave a nest on the stack which holds the one below it twice, and so on downwards."""
    operations = first + b"q\x00"
    for level in range(levels):
        last = b"h" + bytes([level])
        operations += double.replace(b"x", last) + b"q" + bytes([level + 1])
    return operations + b"0" * (levels + 1) + b"h" + bytes([levels])


_TUPLES = _doubling(b")", b"xx\x86")
_LISTS = _doubling(b"]", b"](xxe", 40)


def _numbers(numbers: list[int]) -> bytes:
    """Return operations that leave a mapping from the numbers to None."""
    texts = [number.to_bytes(number.bit_length() // 8 + 1, "little") for number in numbers]
    return b"}(" + b"".join(b"\x8a" + bytes([len(text)]) + text + b"N" for text in texts) + b"u"


_COLLIDING = _numbers([k * (2**61 - 1) for k in range(1, 100_000)])  # all of one hash
_ADDRESSES = _numbers([k << 40 for k in range(1, 100_000)])  # all of one slot in a table of 2^40


def _repeated_call(name: bytes, times: int = 3000) -> bytes:
    """Return operations that call a function with one list of 100,000 again and again, and keep what it returns."""
    return b"](" + b"N" * 100_000 + b"e\x85q\x000c" + name + b"q\x010(" + b"h\x01h\x00R" * times + b"t."


def _long_call(name: bytes) -> bytes:
    """Return operations that call a function with 100,000 arguments again and again."""
    return b"(" + b"N" * 100_000 + b"tq\x000c" + name + b"q\x010(" + b"h\x01h\x00R" * 50_000 + b"t."


def _repeated_state() -> bytes:
    """Return operations that give one state of 100,000 attributes to many mappings."""
    state = b"}(" + b"".join(b"X\x06\x00\x00\x00%06dN" % index for index in range(100_000)) + b"uq\x000"
    return state + b"ccollections\nOrderedDict\nq\x010(" + b"h\x01)Rh\x00b" * 3000 + b"t."


def _equal_texts() -> bytes:
    """Return operations that look up two equal texts of a megabyte in one mapping, in turn."""
    text = b"X" + struct.pack("<I", 2**20) + b"x" * 2**20
    return text + b"q\x000" + text + b"q\x010}(" + b"h\x00Nh\x01N" * 100_000 + b"u."


def _long_storage_names() -> bytes:
    name = b"X" + struct.pack("<I", 100_000) + b"N" * 100_000 + b"q\x000"
    view = b"](" + b"N" * 100_000 + b"eq\x010"
    return name + view + b"(" + b"h\x01Q" * 100_000 + b"t."


def _legacy_keys(keys: bytes) -> bytes:
    whole = _legacy_file()
    head = io.BytesIO(whole)
    for _ in range(4):
        list(pickletools.genops(head))
    return whole[: head.tell()] + b"\x80\x02" + keys + b"."


def _empty_tensors() -> bytes:
    entry = '"%07d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    header = ("{" + ",".join(entry % index for index in range(1_500_000)) + "}").encode()
    return struct.pack("<Q", len(header)) + header


def _edm_call(state: bytes) -> bytes:
    """Return operations that leave a module with a state on the stack."""
    name = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
    texts = {key: b"X" + struct.pack("<I", len(key)) + key for key in (b"type", b"class", b"version", b"class_name")}
    described = texts[b"type"] + texts[b"class"] + texts[b"version"] + b"K\x06" + texts[b"class_name"] + texts[b"class"]
    return name + b"}(" + described + b"X\x05\x00\x00\x00state" + state + b"u\x85R"


def _edm_file(modules: bytes, *, parameters: bytes = b"}", arguments: bytes = b"") -> bytes:
    """Return a network pickle; the parameters are held in the memo at 0."""
    parts = {b"_parameters": b"h\x00", b"_buffers": b"}", b"_modules": modules}
    state = b"}(" + b"".join(b"X" + struct.pack("<I", len(name)) + name + part for name, part in parts.items())
    root = _edm_call(state + arguments + b"u")
    return b"\x80\x02" + parameters + b"q\x000}X\x03\x00\x00\x00ema" + root + b"s."


def _many_entries(count: int) -> bytes:
    return b"}(" + b"".join(b"X\x06\x00\x00\x00%06dN" % index for index in range(count)) + b"u"


def _shared_parts() -> bytes:
    """Return a network of 1,000 modules that share one table of 20,000 absent parameters."""
    part = b"X\x0b\x00\x00\x00_parametersh\x00X\x08\x00\x00\x00_buffers}X\x08\x00\x00\x00_modules}"
    module = _edm_call(b"}(" + part + b"u")
    children = b"".join(b"X\x06\x00\x00\x00%06d" % index + module for index in range(1000))
    return _edm_file(b"}(" + children + b"u", parameters=_many_entries(20_000))


def _wide_arguments() -> bytes:
    """Return a network whose arguments hold one list of 100,000 items 9,000 times."""
    wide = b"](" + b"N" * 100_000 + b"eq\x01" + b"0](" + b"h\x01" * 9000 + b"e"
    return _edm_file(b"}", arguments=b"X\x0c\x00\x00\x00_init_kwargs}X\x01\x00\x00\x00a" + wide + b"s")


_FILES: dict[str, Callable[[], bytes]] = {
    "zip of a doubling tuple as key": lambda: _zipped(b"}" + _TUPLES + b"Ns."),
    "zip of doubling tuples as keys": lambda: _zipped(b"}(" + _TUPLES + b"Nu."),
    "zip of a doubling tuple in a set": lambda: _zipped(b"cbuiltins\nset\n](" + _TUPLES + b"e\x85R."),
    "zip of a doubling tuple in pairs": lambda: _zipped(b"ccollections\nOrderedDict\n](](" + _TUPLES + b"Nee\x85R."),
    "zip of a doubling tuple as storage": lambda: _zipped(_TUPLES + b"Q."),
    "zip of colliding numbers": lambda: _zipped(_COLLIDING + b"."),
    "zip of addresses": lambda: _zipped(_ADDRESSES + b"."),
    "zip of equal texts": lambda: _zipped(_equal_texts()),
    "zip of repeated shapes": lambda: _zipped(_repeated_call(b"torch\nSize\n")),
    "zip of repeated sets": lambda: _zipped(_repeated_call(b"builtins\nset\n")),
    "zip of repeated mappings": lambda: _zipped(_repeated_call(b"collections\nOrderedDict\n")),
    "zip of repeated states": lambda: _zipped(_repeated_state()),
    "zip of long calls": lambda: _zipped(_long_call(b"torch\ndevice\n")),
    "zip of long storages": lambda: _zipped(_long_storage_names()),
    "zip of a long number": lambda: _zipped(b"\x8b" + struct.pack("<i", 2**20) + b"\x01" * 2**20 + b"."),
    "zip of a number that is not there": lambda: _zipped(b"\x8b\xff\xff\xff\x7f\x01."),
    "zip of an attribute of a class": lambda: _zipped(b"ccollections\nOrderedDict\nN}\x8c\x01aNs\x86b."),
    "legacy file of a doubling list of storages": lambda: _legacy_keys(_LISTS),
    "legacy file of a doubling tuple as key": lambda: _legacy_file()[:15] + b"\x80\x02}" + _TUPLES + b"Ns.",
    "pickle of a doubling tuple as key": lambda: _pickled(b"}" + _TUPLES + b"Ns."),
    "pickle of a duplicated tuple as key": lambda: _pickled(b"})" + b"2\x86" * 60 + b"Ns."),
    "pickle of doubling tuples as keys": lambda: _pickled(b"(" + _TUPLES + b"Nd."),
    "pickle of a doubling tuple in a set": lambda: _pickled(b"\x8f(" + _TUPLES + b"\x90."),
    "pickle of a doubling tuple in a frozen set": lambda: _pickled(b"(" + _TUPLES + b"\x91."),
    "pickle of a doubling tuple in a called set": lambda: _pickled(b"cbuiltins\nset\n](" + _TUPLES + b"e\x85R."),
    "pickle of a doubling tuple by way of the memo": lambda: _pickled(_TUPLES + b"\x940}h\x3cNs."),
    "pickle of colliding numbers": lambda: _pickled(_COLLIDING + b"."),
    "pickle of addresses": lambda: _pickled(_ADDRESSES + b"."),
    "pickle of equal texts": lambda: _pickled(_equal_texts()),
    "pickle of repeated sets": lambda: _pickled(_repeated_call(b"builtins\nset\n")),
    "pickle of repeated mappings": lambda: _pickled(_repeated_call(b"builtins\ndict\n")),
    "pickle of long calls": lambda: _pickled(_long_call(b"numpy\ndtype\n")),
    "pickle of a scalar of no bytes": lambda: _pickled(
        b"cnumpy._core.multiarray\nscalar\ncnumpy\ndtype\n\x8c\x02f8\x85RC\x01a\x86R."
    ),
    "pickle of an attribute of a class": lambda: _pickled(b"cbuiltins\ndict\nN}\x8c\x01aNs\x86b."),
    "pickle of modules that share a part": _shared_parts,
    "pickle of wide arguments": _wide_arguments,
    "safetensors of 1.5 million empty tensors": _empty_tensors,
}

# Why, of the reader that a file was made for.
_REASONS = {
    ("zip of doubling tuples as keys", read_torch): "keys that are neither texts nor small numbers",
    ("zip of addresses", read_torch): "keys that are neither texts nor small numbers",
    ("zip of repeated shapes", read_torch): "a shape is not described as torch.save does",
    ("zip of long calls", read_torch): "more arguments than any of torch has",
    ("zip of long storages", read_torch): "a storage is not described as torch.save does",
    ("legacy file of a doubling list of storages", read_torch): "list of storages is not that of its tensors",
    ("pickle of doubling tuples as keys", read_edm): "keys that are neither texts nor small numbers",
    ("pickle of modules that share a part", read_edm): "larger than any network's",
    ("pickle of wide arguments", read_edm): "more than plain values",
    ("safetensors of 1.5 million empty tensors", read_safetensors): "that of a network takes at most",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_files(tmp_path_factory.mktemp("hostile"), _FILES)


@pytest.mark.slow
@pytest.mark.parametrize("read", _READERS, ids=lambda read: str(read.__name__))
def test_every_endless_file_is_refused_at_once(files: dict[str, Path], read: Callable[[Path], object]) -> None:
    assert {name for name, _ in _REASONS} <= {*files}
    for name, path in files.items():
        message = refuse_at_once(read, path)
        assert re.search(_REASONS.get((name, read), ""), message), f"{name}: {message}"
