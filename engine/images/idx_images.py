"""MNIST and Fashion-MNIST as published: idx files, packed with gzip or not."""

import gzip
import hashlib
import logging
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.images.image_source import ImageSource, held_images

_log = logging.getLogger("purecert")
_PREFIX = {"train": "train", "test": "t10k"}
_CLASS_NAMES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
}
# MD5 of the published files, unpacked: both data sets have files of the same names.
_MD5 = {
    "6bbc9ace898e44ae57da46a324031adb": ("mnist", "train-images-idx3-ubyte"),
    "a25bea736e30d166cdddb491f175f624": ("mnist", "train-labels-idx1-ubyte"),
    "2646ac647ad5339dbf082846283269ea": ("mnist", "t10k-images-idx3-ubyte"),
    "27ae3e4e09519cfbb04c329615203637": ("mnist", "t10k-labels-idx1-ubyte"),
    "f4a8712d7a061bf5bd6d2ca38dc4d50a": ("fashion_mnist", "train-images-idx3-ubyte"),
    "9018921c3c673c538a1fc5bad174d6f9": ("fashion_mnist", "train-labels-idx1-ubyte"),
    "8181f5470baa50b63fa0f6fddb340f0a": ("fashion_mnist", "t10k-images-idx3-ubyte"),
    "15d484375f8d13e6eb1aabb0c3f46965": ("fashion_mnist", "t10k-labels-idx1-ubyte"),
}
_IMAGES_MAGIC, _LABELS_MAGIC = 0x00000803, 0x00000801  # unsigned bytes of 3 dimensions and of 1
# Twenty times MNIST's largest file, so that no packed file can unpack into all memory.
_MAX_BYTES = 2**30


def open_idx(name: str, split: str, folders: Sequence[Path]) -> ImageSource:
    """Return the images of one split of ``name`` from the first of ``folders`` that holds them.

    Raises:
        InputError: The split is neither train nor test, or a file is absent, cut short, no idx file, or
            known to be another data set's.
    """
    if split not in _PREFIX:
        raise InputError(f"--data: expected {name}:train or {name}:test, got split {split!r}")
    images = _read_idx(name, f"{_PREFIX[split]}-images-idx3-ubyte", folders, _IMAGES_MAGIC)
    labels = _read_idx(name, f"{_PREFIX[split]}-labels-idx1-ubyte", folders, _LABELS_MAGIC)
    return held_images(f"{name}:{split}", images[:, None], labels, _CLASS_NAMES[name])


def _find(file: str, folders: Sequence[Path]) -> Path:
    for folder in folders:
        for path in (folder / file, folder / f"{file}.gz"):
            if path.is_file():
                return path
    raise InputError(f"{folders[-1]}: expected {file} or {file}.gz, found neither; is --data-dir right?")


def _read_idx(name: str, file: str, folders: Sequence[Path], magic: int) -> NDArray[np.uint8]:
    """Return the array of ``file`` of the data set ``name``: magic, sizes (all 32 bits, high byte first), bytes."""
    path = _find(file, folders)
    content = _unpacked(path)
    _check_published(name, file, path, content)
    dimensions = magic & 0xFF
    header = 4 * (1 + dimensions)
    if len(content) < header or (found := struct.unpack(">I", content[:4])[0]) != magic:
        came = f"{len(content)} bytes" if len(content) < header else f"{found:#010x}"
        raise InputError(f"{path}: expected the idx magic number {magic:#010x}, found {came}; get it again")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != (expected := int(np.prod(shape, dtype=object))):
        raise InputError(f"{path}: expected {expected} bytes of data, found {len(content) - header}; get it again")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return file.read(_MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: expected a whole idx file, found {error}; get it again") from error


def _check_published(name: str, file: str, path: Path, content: bytes) -> None:
    """Refuse a published file that is another one than its name says; say where a file is none of the published."""
    known = _MD5.get(hashlib.md5(content, usedforsecurity=False).hexdigest())
    if known is None:
        _log.warning("%s is not the published %s of %s; it is used as it is", path, file, name)
    elif known != (name, file):
        raise InputError(f"{path}: expected {file} of {name}, found {known[1]} of {known[0]}; is --data-dir right?")
