"""What tests of image sources share."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from purecert.engine.images.datasets import Dataset


class TouchWhenLoaded:
    """Makes a pickle that creates the file ``path`` when it is loaded without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Return the call that a pickle of this makes."""
        return Path.touch, (self.path,)


def labels_of(data: Dataset) -> NDArray[np.int64]:
    """Return the labels of a data set that must have them."""
    assert data.labels is not None
    return data.labels
