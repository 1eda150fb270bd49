"""MNIST and Fashion-MNIST as published: idx files, packed with gzip or not."""

import gzip
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.images.image_source import ImageSource, held_images

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
_IMAGES_MAGIC, _LABELS_MAGIC = 0x00000803, 0x00000801  # unsigned bytes of 3 dimensions and of 1
# Twenty times MNIST's largest file, so that no packed file can unpack into all memory.
_MAX_BYTES = 2**30


def open_idx(name: str, split: str, folders: Sequence[Path]) -> ImageSource:
    """Return the images of one split of ``name`` from the first of ``folders`` that holds them.

    Raises:
        InputError: The split is neither train nor test, or a file is absent, cut short or no idx file.
    """
    if split not in _PREFIX:
        raise InputError(f"--data: expected {name}:train or {name}:test, got split {split!r}")
    images = _read_idx(_find(f"{_PREFIX[split]}-images-idx3-ubyte", folders), _IMAGES_MAGIC)
    labels = _read_idx(_find(f"{_PREFIX[split]}-labels-idx1-ubyte", folders), _LABELS_MAGIC)
    return held_images(f"{name}:{split}", images[:, None], labels, _CLASS_NAMES[name])


def _find(file: str, folders: Sequence[Path]) -> Path:
    for folder in folders:
        for path in (folder / file, folder / f"{file}.gz"):
            if path.is_file():
                return path
    raise InputError(f"{folders[-1]}: expected {file} or {file}.gz, found neither; is --data-dir right?")


def _read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """Return the array of an idx file: magic, sizes (all 32 bits, high byte first), bytes."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: expected a whole idx file, found {error}; get it again") from error
    dimensions = magic & 0xFF
    header = 4 * (1 + dimensions)
    if len(content) < header or (found := struct.unpack(">I", content[:4])[0]) != magic:
        came = f"{len(content)} bytes" if len(content) < header else f"{found:#010x}"
        raise InputError(f"{path}: expected the idx magic number {magic:#010x}, found {came}; get it again")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != (expected := int(np.prod(shape, dtype=object))):
        raise InputError(f"{path}: expected {expected} bytes of data, found {len(content) - header}; get it again")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
