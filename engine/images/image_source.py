"""What a source of images offers before a slice picks from it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from numpy.typing import NDArray

from purecert.engine.errors import InputError

Images = UInt8[np.ndarray, "images channels height width"]
Integers = Int64[np.ndarray, " images"]
Distances = Float64[np.ndarray, " images"]  # L2, in pixel units of [0, 1]

_MAX_LABEL = 2**31 - 1  # labels and classes are 32-bit wherever they are counted


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageSource:
    """Images that can be read by position, and what is known of all of them."""

    name: str  # canonical, without a path: it goes into run.json
    indices: Integers  # of every image in its data set
    labels: Integers | None
    classes: int  # labels are below it; 0 where there are none
    class_names: tuple[str, ...]  # empty where unknown
    quantised: bool  # the source holds floats, which ``read`` rounds to 8 bits
    read: Callable[[Integers], Images]  # the images at these positions
    moved: Callable[[Integers], Distances] | None = None  # where quantised: how far, at most, ``read`` moves each image
    class_folders: tuple[str, ...] = ()  # where labels number folders: their names, by label


def held_images(name: str, images: Images, labels: NDArray[np.generic], class_names: tuple[str, ...]) -> ImageSource:
    """Return a source over images that are in memory, numbered from 0.

    Raises:
        InputError: There is not one label per image, or a label is not the number of a class name.
    """
    checked = check_labels(name, labels, len(images))
    if np.any(checked >= len(class_names)):
        raise InputError(f"{name}: expected labels in 0..{len(class_names) - 1}, found {checked.max()}; get it again")
    return ImageSource(
        name=name,
        indices=np.arange(len(images), dtype=np.int64),
        labels=checked,
        classes=len(class_names),
        class_names=class_names,
        quantised=False,
        read=lambda positions: images[positions],
    )


def check_labels(where: str, labels: NDArray[np.generic], images: int) -> Integers:
    """Return ``labels`` as int64.

    Raises:
        InputError: They are not ``images`` integers of at least 0; the message begins with ``where``.
    """
    if labels.shape != (images,) or labels.dtype.kind not in "iu":
        came = f"{labels.dtype} of shape {labels.shape}"
        raise InputError(f"{where}: expected {images} integer labels, one per image, found {came}; save one per image")
    if images and not (labels.min() >= 0 and labels.max() <= _MAX_LABEL):
        came = f"{labels.min()}..{labels.max()}"
        raise InputError(f"{where}: expected labels in 0..{_MAX_LABEL}, found {came}; number the classes from 0")
    return labels.astype(np.int64)
