"""Images of the user's own in one NumPy archive."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.images.image_source import Images, ImageSource, Integers, check_labels
from purecert.engine.images.rounding import rounded, rounding_distances

_IMAGE_KEYS, _LABEL_KEYS, _INDEX_KEYS = ("x", "images"), ("y", "labels"), ("idx",)
_SHOWN_KEYS = 12
_MAX_INDEX = 2**32 - 1  # the image part of a noise address (kernels/README.md)

Arrays = dict[str, NDArray[np.generic]]


def open_npz(path: Path) -> ImageSource:
    """Return the images of ``path``: ``x`` or ``images``, and where given ``y`` or ``labels``, and ``idx``.

    Images are [n, height, width] or [n, channels, height, width], of uint8 or of floats in [0, 1].

    Raises:
        InputError: The file is absent, damaged, pickled, or an array is of another form.
    """
    arrays = _read_arrays(path)
    images = _only(arrays, _IMAGE_KEYS, path)
    if images is None:
        raise InputError(
            f"{path}: expected images under 'x' or 'images', found {_keys(path)}; save them with "
            "numpy.savez(FILE, x=images, y=labels)"
        )
    images = _check_images(images, path)
    stored = _only(arrays, _LABEL_KEYS, path)
    labels = None if stored is None else check_labels(f"{path}", stored, len(images))
    holds_floats = images.dtype != np.uint8
    return ImageSource(
        name=f"npz:{path.name}",
        indices=_check_indices(_only(arrays, _INDEX_KEYS, path), len(images), path),
        labels=labels,
        classes=0 if labels is None else int(labels.max()) + 1,
        class_names=(),
        quantised=holds_floats,
        read=lambda positions: _to_uint8(images[positions], path),
        moved=(lambda positions: rounding_distances(images[positions])) if holds_floats else None,
    )


def _read_arrays(path: Path) -> Arrays:
    if not path.is_file():
        raise InputError(f"{path}: expected an .npz file, found none; is the path right?")
    try:
        # NumPy leaves a damaged file open, so it is opened here. Pickles run code when they are read: none is.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"{path}: expected an .npz archive, found one array; save it with numpy.savez(x=...)")
            keys = [key for key in archive.files if key in _IMAGE_KEYS + _LABEL_KEYS + _INDEX_KEYS]
            return {key: _array(archive[key], key) for key in keys}
    except (InputError, MemoryError):
        raise
    except Exception as error:  # zip, its compressions and NumPy's headers each fail by errors of their own
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{path}: expected an .npz archive without pickles, found {reason}; save it again") from error


def _keys(path: Path) -> list[str]:
    """Return the names of the arrays that the archive holds, the first of many."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return sorted(archive.files)[:_SHOWN_KEYS]


def _array(value: object, key: str) -> NDArray[np.generic]:
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{key!r} that is no array")
    return value


def _only(arrays: Arrays, keys: tuple[str, ...], path: Path) -> NDArray[np.generic] | None:
    present = [key for key in keys if key in arrays]
    if len(present) > 1:
        raise InputError(f"{path}: expected one of {list(keys)}, found both; save the file with one")
    return arrays[present[0]] if present else None


def _check_images(images: NDArray[np.generic], path: Path) -> NDArray[np.generic]:
    came = f"{images.dtype} of shape {images.shape}"
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise InputError(f"{path}: expected uint8 images, or floats in [0, 1], found {came}; convert them to uint8")
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise InputError(f"{path}: expected images [n, C, H, W] or [n, H, W], found {came}; reshape them")
    # Taken for channels first, such images would run as 32-channel strips.
    if images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        raise InputError(f"{path}: expected images [n, C, H, W], found {came}; save x.transpose(0, 3, 1, 2)")
    return images if images.ndim == 4 else images[:, None]


def _check_indices(stored: NDArray[np.generic] | None, images: int, path: Path) -> Integers:
    if stored is None:
        return np.arange(images, dtype=np.int64)
    if stored.shape != (images,) or stored.dtype.kind not in "iu":
        came = f"{stored.dtype} of shape {stored.shape}"
        raise InputError(f"{path}: expected idx to hold {images} integers, found {came}; save one per image")
    if len(np.unique(stored)) < images or not (stored.min() >= 0 and stored.max() <= _MAX_INDEX):
        raise InputError(f"{path}: expected idx to hold different numbers in 0..{_MAX_INDEX}; number the images so")
    return stored.astype(np.int64)


def _to_uint8(images: NDArray[np.generic], path: Path) -> Images:
    if images.dtype == np.uint8:
        return images.astype(np.uint8, copy=False)
    exact = images.astype(np.float64)
    if not np.all((exact >= 0) & (exact <= 1)):  # written so that NaN fails too
        came = f"{exact.min()}..{exact.max()}"
        raise InputError(f"{path}: expected floats in [0, 1], found {came}; scale them, or save uint8")
    return rounded(exact)
