"""The embedded data set: 1,797 hand-written digits of 8 x 8 pixels (data/README.md has source and licence)."""

from importlib import resources

import numpy as np

from purecert.engine.errors import InputError
from purecert.engine.images.image_source import ImageSource, held_images

_PARTS = {"train": slice(0, 1297), "test": slice(1297, 1797)}
_CLASS_NAMES = tuple("0123456789")


def open_digits(split: str) -> ImageSource:
    """Return the images of one split.

    Raises:
        InputError: The split is neither train nor test.
    """
    if split not in _PARTS:
        raise InputError(f"--data: expected digits:train or digits:test, got split {split!r}")
    with (
        (resources.files("purecert.engine.images") / "data" / "digits.npz").open("rb") as file,
        np.load(file) as arrays,
    ):
        images, labels = arrays["x"][_PARTS[split]], arrays["y"][_PARTS[split]]
    return held_images(f"digits:{split}", images, labels, _CLASS_NAMES)
