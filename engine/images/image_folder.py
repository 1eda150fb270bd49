"""A folder of PNG or JPEG files: one subfolder per class, or a flat folder without labels."""

import logging
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from purecert.engine.errors import BackendError, InputError
from purecert.engine.images.image_source import Images, ImageSource

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = UInt8[np.ndarray, "channels height width"]

_log = logging.getLogger("purecert")
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
_PNG_DEPTH = 24  # where a PNG file says how many bits a sample has, after signature, length, IHDR, width and height
_ORIENTATION = 0x0112  # EXIF's tag; 1 is upright
_CHANNELS = {"L": 1, "RGB": 3}  # Pillow's modes of 8 bits per channel and no transparency


def open_folder(folder: Path) -> ImageSource:
    """Return the images of ``folder`` in the order of their names, class by class; labels number the folders.

    Which class of a plan a folder is, ``class_folders.py`` says.

    Raises:
        InputError: There are no images, or something else lies between them.
        BackendError: Pillow is not installed.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of images, found none; is the path right?")
    entries = _entries(folder)
    classes = [entry for entry in entries if entry.is_dir()]
    if classes and len(classes) < len(entries):
        other = next(entry for entry in entries if not entry.is_dir())
        raise InputError(f"{folder}: expected images or class folders, found both; move {other.name} or the folders")
    files = [(path, label) for label, folder in enumerate(classes) for path in _entries(folder)]
    paths = [path for path, _ in files] if classes else entries
    _check_files(folder, paths)
    _require_pillow()
    return ImageSource(
        name=f"folder:{folder.resolve().name}",
        indices=np.arange(len(paths), dtype=np.int64),
        labels=np.array([label for _, label in files], np.int64) if classes else None,
        classes=len(classes),
        class_names=tuple(folder.name for folder in classes),
        quantised=False,
        read=lambda positions: _read_images([paths[position] for position in positions]),
        class_folders=tuple(folder.name for folder in classes),
    )


def _entries(folder: Path) -> list[Path]:
    # Names that begin with a dot are what file browsers leave behind.
    return sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _check_files(folder: Path, paths: Sequence[Path]) -> None:
    if not paths:
        raise InputError(f"{folder}: expected PNG or JPEG files, or a folder of them per class, found none")
    for path in paths:
        if path.suffix.lower() not in _SUFFIXES or not path.is_file():
            raise InputError(f"{path}: expected a PNG or JPEG file, found another; move it out of the folder")


def _require_pillow() -> None:
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise BackendError(
            "folder: images are read by Pillow, which is absent; pip install 'purecert[images]'"
        ) from error


def _read_images(paths: Sequence[Path]) -> Images:
    first, _ = _read_image(paths[0])
    images = np.empty((len(paths), *first.shape), np.uint8)
    found: dict[str, list[Path]] = {}
    for position, path in enumerate(paths):
        image, exif = _read_image(path)
        if exif:
            found.setdefault(exif, []).append(path)
        if image.shape != first.shape:
            raise InputError(
                f"{path}: expected an image of [C, H, W] = {list(first.shape)} like {paths[0].name}, "
                f"found {list(image.shape)}; bring all to one size and mode"
            )
        images[position] = image
    for exif, those in found.items():
        _log.warning(
            "EXIF %s %d of %d images, %s first; pixels are taken as stored, as torchvision does",
            *(exif, len(those), len(paths), those[0]),
        )
    return images


def _read_image(path: Path) -> tuple[Pixels, str]:
    """Return the pixels of one file as stored (no resizing, colour management or turning), and what ``_exif`` says."""
    import PIL.Image

    try:
        with PIL.Image.open(path, formats=("PNG", "JPEG")) as image:
            return _pixels(image, path), _exif(image)
    # Pillow reports damage as any of these.
    except (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError) as error:
        raise InputError(f"{path}: expected a whole PNG or JPEG file, found {error}; replace it") from error


def _exif(image: "Image") -> str:
    """Return what a reader should know of the EXIF of ``image``; empty where nothing. Damage there harms no pixel."""
    try:
        with warnings.catch_warnings(action="error"):  # which is how Pillow says most damage
            return "" if image.getexif().get(_ORIENTATION, 1) == 1 else "says to turn"
    # Pillow reports the rest as any of these.
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, struct.error, UserWarning):
        return "is damaged in"


def _pixels(image: "Image", path: Path) -> Pixels:
    if image.mode not in _CHANNELS:
        raise InputError(f"{path}: expected mode L or RGB (8 bits per channel), found {image.mode}; convert it")
    if image.format == "PNG" and _png_depth(path) > 8:  # Pillow cuts 16 bits of a channel to 8 without a word
        raise InputError(f"{path}: expected 8 bits per channel, found {_png_depth(path)}; convert it")
    pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], _CHANNELS[image.mode]).transpose(2, 0, 1)


def _png_depth(path: Path) -> int:
    with path.open("rb") as file:
        return file.read(_PNG_DEPTH + 1)[_PNG_DEPTH]
