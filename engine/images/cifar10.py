"""CIFAR-10 as published: the official Python batches, unpacked or still in their archive.

The batches are pickles, which run code when they are read; so only the published bytes are read at all, and those
only into arrays.
"""

import hashlib
import io
import lzma
import pickle
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from purecert.engine.errors import InputError
from purecert.engine.images.image_source import Images, ImageSource, Integers, held_images

_FOLDER = "cifar-10-batches-py"
_ARCHIVES = ("cifar-10-python.tar.gz", "cifar-10-python.tar.xz")
_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_FILES = {"train": _TRAIN, "test": ("test_batch",)}
# Of the files of https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz, as torchvision publishes them.
_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
_BATCH_BYTES = 31_035_999  # of the largest batch; no archive entry is read beyond it
_CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class ArrayUnpickler(pickle.Unpickler):
    """Reads a pickle that holds plain values and NumPy arrays, and nothing that could run."""

    def find_class(self, module: str, name: str) -> object:
        """Return one of the three names that an array's pickle needs.

        Raises:
            InputError: The pickle asks for anything else.
        """
        # NumPy moved its modules since 2009; an array of its own tells where the constructor lives now.
        allowed: dict[tuple[str, str], object] = {
            ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }
        if (module, name) not in allowed:
            raise InputError(f"expected a pickle of arrays, found {module}.{name} in it; do not open this file")
        return allowed[module, name]


def open_cifar10(split: str, folders: Sequence[Path]) -> ImageSource:
    """Return the images of one split from the first of ``folders`` that holds the batches or their archive.

    Raises:
        InputError: The split is neither train nor test, or a batch is absent or not the published one.
    """
    if split not in _FILES:
        raise InputError(f"--data: expected cifar10:train or cifar10:test, got split {split!r}")
    batches = [read_batch(content) for content in _published_bytes(_FILES[split], folders)]
    images = np.concatenate([images for images, _ in batches])
    return held_images(f"cifar10:{split}", images, np.concatenate([labels for _, labels in batches]), _CLASS_NAMES)


def read_batch(content: bytes) -> tuple[Images, Integers]:
    """Return the images [n, 3, 32, 32] and labels of one batch file.

    Raises:
        InputError: It is no pickle of arrays, or not one with images and labels.
    """
    try:
        batch = ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        images, labels = np.asarray(batch[b"data"], np.uint8), np.asarray(batch[b"labels"], np.int64)
        return images.reshape(-1, 3, 32, 32), labels
    except (pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise InputError(f"expected a batch of CIFAR-10, found {error!r}; get the archive again") from error


def _published_bytes(names: Sequence[str], folders: Sequence[Path]) -> list[bytes]:
    where, found = _find(names, folders)
    for name in names:
        # MD5 is what is published; it tells damage and other files, and the unpickler admits only arrays anyway.
        md5 = hashlib.md5(found[name], usedforsecurity=False).hexdigest()
        if md5 != _MD5[name]:
            raise InputError(f"{where}: expected {name} with MD5 {_MD5[name]}, found {md5}; get the archive again")
    return [found[name] for name in names]


def _find(names: Sequence[str], folders: Sequence[Path]) -> tuple[Path, dict[str, bytes]]:
    for folder in folders:
        for unpacked in (folder / _FOLDER, folder):
            if all((unpacked / name).is_file() for name in names):
                return unpacked, {name: (unpacked / name).read_bytes() for name in names}
        for archive in _ARCHIVES:
            if (folder / archive).is_file():
                return folder / archive, _unpack(folder / archive, names)
    expected = f"{_FOLDER}/ with {', '.join(names)}, or {' or '.join(_ARCHIVES)}"
    raise InputError(f"{folders[-1]}: expected {expected}, found neither; is --data-dir right?")


def _unpack(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Return the batches in ``archive``, read as a stream: nothing is written to disk."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r|*") as entries:
            for entry in entries:
                name = entry.name.removeprefix(f"{_FOLDER}/")
                file = entries.extractfile(entry) if name in names and entry.isfile() else None
                if file is not None:
                    found[name] = file.read(_BATCH_BYTES)
                if len(found) == len(names):
                    return found
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"{archive}: expected a whole archive, found {error}; get it again") from error
    missing = [name for name in names if name not in found]
    raise InputError(f"{archive}: expected {missing[0]} in {_FOLDER}/, found none; get it again")
