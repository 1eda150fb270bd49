"""Hostile files, each given to every reader: one line, at once, and nothing of theirs runs."""

import io
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from purecert.train.readers.diffusers_files import read_diffusers
from purecert.train.readers.edm_files import read_edm
from purecert.train.readers.flax_files import read_flax
from purecert.train.readers.safetensors_files import read_safetensors
from purecert.train.readers.torch_files import read_torch
from support.refusals import refuse_at_once, write_files

_CLAIM = 3 * 2**30  # bytes of a header that is not there
_READERS: list[Callable[[Path], object]] = [read_torch, read_safetensors, read_flax, read_edm, read_diffusers]


class _Runs:
    """Calls os.system when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch marker",))


def _torch_file(content: object, new_format: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=new_format)
    return stream.getvalue()


def _rezipped(change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(_torch_file({"a": torch.ones(4)}))) as old,
        zipfile.ZipFile(stream, "w", compression) as new,
    ):
        for entry in old.infolist():
            new.writestr(entry.filename, change(entry.filename, old.read(entry)))
    return stream.getvalue()


def _bomb() -> bytes:
    """Return a megabyte that inflates to a gigabyte of zeros."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        with archive.open("archive/data/0", "w") as entry:
            for _ in range(64):
                entry.write(bytes(2**24))
    return stream.getvalue()


def _overlapping() -> bytes:
    """Return an archive whose directory lists one stored entry many times under other names."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", bytes(10_000))
        first = archive.infolist()[0]
        for index in range(500):
            again = zipfile.ZipInfo(f"archive/data/{index}")
            again.header_offset, again.CRC = first.header_offset, first.CRC
            again.file_size = again.compress_size = first.file_size
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
    return stream.getvalue()


def _byte_order(name: str, data: bytes) -> bytes:
    return b"big" if name.endswith("byteorder") else data


def _nested_pickle(operation: bytes, count: int) -> bytes:
    return b"\x80\x04" + b")" + operation * count + b"."


_FILES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"hello, I am text\nand not a model\n" * 1000,
    "html": lambda: b"<!DOCTYPE html><html><body>404</body></html>",
    "lfs pointer": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "zeros": lambda: bytes(100_000),
    "code in a zip": lambda: _torch_file({"a": _Runs()}),
    "code in a legacy file": lambda: _torch_file({"a": _Runs()}, False),
    "code in a pickle": lambda: pickle.dumps({"ema": _Runs()}),
    "code in an old pickle": lambda: pickle.dumps({"ema": _Runs()}, protocol=0),
    "code before a legacy file": lambda: pickle.dumps(_Runs(), protocol=2) + _torch_file({}, False),
    "code behind the head of a legacy file": lambda: _torch_file({}, False)[:15] + pickle.dumps(_Runs(), protocol=2),
    "zip bomb": _bomb,
    "overlapping zip entries": _overlapping,
    "big-endian zip": lambda: _rezipped(_byte_order),
    "big-endian legacy file": lambda: _torch_file({"a": torch.ones(4)}, False).replace(
        b"endianq\x02\x88", b"endianq\x02\x89"
    ),
    "compressed zip": lambda: _rezipped(lambda name, data: data, zipfile.ZIP_DEFLATED),
    "header of 3 GB": lambda: struct.pack("<Q", _CLAIM) + b'{"a":' + bytes(1000),
    "header of 2^63 bytes": lambda: struct.pack("<Q", 2**63) + b'{"a":' + bytes(1000),
    "msgpack list of 2^32 - 1": lambda: b"\xdd\xff\xff\xff\xff" + bytes(1000),
    "msgpack map of 2^32 - 1": lambda: b"\xdf\xff\xff\xff\xff" + bytes(1000),
    "msgpack extension of 2^32 - 1": lambda: b"\x81\xa1a\xc9\xff\xff\xff\xff\x01" + bytes(1000),
    "msgpack lists in lists": lambda: b"\x91" * 1_000_000,
    "msgpack long lists in lists": lambda: b"\xdd\x00\x00\x00\x40" * 500_000,
    "pickle of a far memo": lambda: b"\x80\x04Nr\xff\xff\xff\x7f.",
    "pickle of a long frame": lambda: b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N.",
    "pickle of long bytes": lambda: b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"N.",
    "pickle of a long bytearray": lambda: b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"N.",
    "pickle of a long text": lambda: b"\x80\x04\x8d" + struct.pack("<Q", 2**63) + b"N.",
    "pickle of many objects": lambda: b"\x80\x04" + b"N" * 30_000_000 + b".",
    "pickle of tuples in tuples": lambda: b"\x80\x04}" + b")" + b"\x85" * 400_000 + b"Ns.",
    "pickle without an end": lambda: b"\x80\x04" + b"(" * 100_000,
    "pickle of an extension": lambda: b"\x80\x04\x82\x01.",
    "pickle of another's object": lambda: b"\x80\x04\x8c\x01aQ.",
}

# Why, of the reader that a file was made for.
_REASONS = {
    ("code in a zip", read_torch): "holds posix.system",
    ("code in a legacy file", read_torch): "holds posix.system",
    ("code behind the head of a legacy file", read_torch): "holds posix.system",
    ("code in a pickle", read_edm): "holds posix.system",
    ("zip bomb", read_torch): "is compressed",
    ("overlapping zip entries", read_torch): "its entries claim",
    ("big-endian zip", read_torch): "another byte order than little-endian",
    ("big-endian legacy file", read_torch): "another byte order than little-endian",
    ("header of 3 GB", read_safetensors): f"header claims {_CLAIM} bytes",
    ("msgpack list of 2^32 - 1", read_flax): "4294967295 exceeds max_array_len",
    ("pickle of many objects", read_edm): "far more objects than the weights of a network",
    ("lfs pointer", read_flax): "Git LFS pointer.*git lfs pull",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_files(tmp_path_factory.mktemp("hostile"), _FILES)


@pytest.mark.parametrize("read", _READERS, ids=lambda read: str(read.__name__))
def test_every_hostile_file_is_refused_at_once(
    files: dict[str, Path], read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert {name for name, _ in _REASONS} <= {*files}
    for name, path in files.items():
        message = refuse_at_once(read, path)
        assert re.search(_REASONS.get((name, read), ""), message), f"{name}: {message}"
        assert not (tmp_path / "marker").exists(), name


@pytest.mark.parametrize("read", _READERS, ids=lambda read: str(read.__name__))
def test_a_folder_and_an_absent_file_are_refused(read: Callable[[Path], object], tmp_path: Path) -> None:
    assert "cannot be read" in refuse_at_once(read, tmp_path)
    assert "cannot be read" in refuse_at_once(read, tmp_path / "absent")


@pytest.mark.parametrize("read", _READERS, ids=lambda read: str(read.__name__))
def test_a_pipe_is_refused(read: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "cannot be read" in refuse_at_once(read, tmp_path / "pipe")


@pytest.mark.parametrize("new_format", [True, False])
def test_a_large_file_cut_short_is_refused_at_once(new_format: bool, tmp_path: Path) -> None:
    data = _torch_file({"a": torch.zeros(25_000_000)}, new_format)
    path = tmp_path / "a.pth"
    path.write_bytes(data)
    for share in (0.999, 0.9, 0.5, 0.1, 0.001):
        os.truncate(path, int(len(data) * share))
        assert "cut short" in refuse_at_once(read_torch, path), f"cut to {share}"
