"""Images from memory, kept in an archive beside their run, so that the run can be checked afterwards."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError


def kept_images(images: str | NDArray[np.uint8], labels: NDArray[np.integer] | None, output: Path) -> str:
    """Return the name of ``images`` as ``--data`` takes it; an array is written to ``OUTPUT.images.npz`` first.

    Args:
        images: A name, which comes back as it is, or uint8 pixels [images, channels, height, width].
        labels: Integers [images], of an array.
        output: The run directory.

    Raises:
        InputError: The array or its labels are of another form, the labels are not for an array, or other images lie
            where they would be kept.
    """
    if isinstance(images, str):
        if labels is not None:
            raise InputError("expected labels with an array only, since a data set brings its own; leave them out")
        return images
    path = output.with_name(f"{output.name}.images.npz")
    arrays = _checked(images, labels)
    if path.exists():
        _require_equal(path, arrays)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    return f"npz:{path}"


def _checked(images: NDArray[np.uint8], labels: NDArray[np.integer] | None) -> dict[str, NDArray[np.integer]]:
    pixels = np.asarray(images)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or not len(pixels):
        raise InputError(
            f"expected images as uint8 [images, channels, height, width], at least one, got {pixels.dtype} "
            f"{list(pixels.shape)}; round [0, 1] floats yourself: numpy.rint(255 * x).astype(numpy.uint8)"
        )
    if labels is None:
        return {"x": pixels}
    chosen = np.asarray(labels)
    if chosen.dtype.kind not in "iu" or chosen.shape != (len(pixels),):
        raise InputError(f"expected labels as integers [{len(pixels)}], got {chosen.dtype} {list(chosen.shape)}")
    return {"x": pixels, "y": chosen}


def _require_equal(path: Path, arrays: dict[str, NDArray[np.integer]]) -> None:
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: expected the images of an earlier run, found {error}; choose another out") from error
    if found.keys() != arrays.keys() or not all(np.array_equal(found[name], arrays[name]) for name in arrays):
        raise InputError(f"{path}: other images lie there already; choose another out, or delete the file")
