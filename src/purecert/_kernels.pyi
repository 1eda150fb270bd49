"""
Native kernels of purecert: the addressed integer noise (kernels/README.md).
"""

import numpy
import numpy.typing


NOISE_CONTRACT: int = 1

def paths() -> list[str]:
    """Return the noise paths that this processor runs, the fastest first."""

def philox4x32(counter: numpy.typing.NDArray[numpy.uint32], key: numpy.typing.NDArray[numpy.uint32]) -> numpy.typing.NDArray[numpy.uint32]:
    """Return the four words of one Philox4x32-10 block."""

class ThresholdTable:
    """The thresholds of one noise scale, ready to be searched."""

    def __init__(self, thresholds: numpy.typing.NDArray[numpy.uint64]) -> None: ...

    def fill(self, out: numpy.typing.NDArray[numpy.generic], segments: numpy.typing.NDArray[numpy.int64], *, seed: int, purpose: int, images: numpy.typing.NDArray[numpy.uint8] | None, threads: int, path: str | None = None) -> None:
        """
        Write clip(image + q), or clip(q) without images, into the rows of `out`.
        """

    def draw(self, out: numpy.typing.NDArray[numpy.int16], *, seed: int, image: int, phase: int, draw: int, purpose: int, path: str | None = None) -> None:
        """Write q of one row into `out`, before image and clip."""

    def parts(self) -> tuple[numpy.typing.NDArray[numpy.uint64], numpy.typing.NDArray[numpy.uint32], numpy.typing.NDArray[numpy.uint16]]:
        """
        Return copies of the thresholds, of their high words with a sentinel, and of the guide, as batches read them.
        """

def fill_batch(*, table: tuple[int, int, int], thresholds: int, map: int, images: int, seed: int, purpose: int, shape: tuple[int, int, int], channels_last: bool, element: str, out: int, stream: int) -> None:
    """
    Write the noise of the map's next batch; every array is an address (batch.h), which nothing here checks.
    """

def count_votes(*, map: int, labels: int, rows: int, classes: int, counts: int, stream: int) -> None:
    """
    Add the votes of the map's next batch and move the map on; every array is an address (batch.h).
    """
