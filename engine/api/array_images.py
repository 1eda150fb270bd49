"""Images from memory, as a data set that is kept in the run directory, so that the run can be checked afterwards."""

import io

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset, slice_text
from purecert.engine.images.image_source import check_labels
from purecert.engine.records.run_directory import IMAGES_FILE


def array_dataset(images: NDArray[np.uint8], labels: NDArray[np.integer] | None) -> tuple[Dataset, bytes]:
    """Return ``images`` as ``npz:images.npz`` would load them, and the bytes of that file.

    Args:
        images: uint8 pixels [images, channels, height, width], at least one image.
        labels: Integers [images], at least 0; or None.

    Raises:
        InputError: The arrays are of another form.
    """
    pixels = np.ascontiguousarray(images)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or not len(pixels):
        raise InputError(
            f"expected images as uint8 [images, channels, height, width], at least one, got {pixels.dtype} "
            f"{list(pixels.shape)}; round [0, 1] floats yourself: numpy.rint(255 * x).astype(numpy.uint8)"
        )
    chosen = None if labels is None else check_labels("labels", np.asarray(labels), len(pixels))
    dataset = Dataset(
        name=f"npz:{IMAGES_FILE}",
        indices=np.arange(len(pixels), dtype=np.int64),
        images=pixels,
        labels=chosen,
        classes=0 if chosen is None else int(chosen.max()) + 1,
        class_names=(),
        quantised=False,
        slice=slice_text(np.arange(len(pixels)), len(pixels)),
    )
    content = io.BytesIO()
    if chosen is None:
        np.savez(content, x=pixels)
    else:
        np.savez(content, x=pixels, y=chosen)
    return dataset, content.getvalue()
