"""How the row check lays rows in batches: among other neighbours at the same place, and at other places.

The rows themselves (``probe_addresses``) lie as a run lays them: every other batch holds consecutive draws of one
image, as most batches of a run do; the batches between hold draws of many images, as those of short requests do.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64
from numpy.typing import NDArray

from purecert.engine.noise.contract import SELECT
from purecert.engine.noise.inputs import row_addresses

EXTREME_ROW, ZERO_ROW = -1, -2  # stand for rows of nothing but the highest pixel, and of zeros
_LEAST_BATCHES = 2  # one of one image, one of many


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A way to lay the rows: which row lies where, and which of them are compared."""

    order: Int64[np.ndarray, " places"]  # number of a row, or EXTREME_ROW or ZERO_ROW
    compared: Bool[np.ndarray, " places"]


def row_count(asked: int, batch: int) -> int:
    """Return how many rows a check of at least ``asked`` rows takes: whole batches, of both kinds."""
    return max(_LEAST_BATCHES, -(-asked // batch)) * batch


def probe_addresses(count: int, batch: int, indices: Int64[np.ndarray, " images"]) -> Int64[np.ndarray, "rows 5"]:
    """Return (slot, image index, phase, draw, 1) of each of ``count`` distinct rows; slots count the images."""
    numbers = np.arange(count)
    group = numbers // batch
    used = np.where(group % 2 == 0, group // 2, numbers) % min(len(indices), count)
    return row_addresses(used, indices, SELECT, numbers)


def in_order(count: int) -> Layout:
    """Return the rows as they are."""
    return Layout(order=np.arange(count), compared=np.ones(count, bool))


def other_neighbours(count: int, batch: int) -> list[Layout]:
    """Return layouts in which the rows that are compared keep their places and the others make way for strangers.

    Strangers are rows of another batch, of the other kind; extreme rows, which move any scale taken over a batch; and
    zeros at a batch's end or start, as rows to spare would be. Each row is compared among each of the three.
    """
    places = np.arange(count)
    odd, late = places % 2 == 1, places % batch >= batch // 2
    elsewhere = np.roll(places, batch | 1)  # an odd shift takes every row of the other parity out of sight
    return [
        Layout(order=np.where(kept, places, strangers), compared=kept)
        for half, strangers in ((odd, elsewhere), (odd, EXTREME_ROW), (late, ZERO_ROW))
        for kept in (half, ~half)
        if kept.any()
    ]


def among_others(images: int, batch: int) -> Layout:
    """Return rows that lie image after image, a batch of each, so that every batch holds all images.

    Each row keeps its place in the batch; only the rows beside it are others.
    """
    mixed, place = np.divmod(np.arange(images * batch), batch)
    return Layout(order=(mixed + place) % images * batch + place, compared=np.ones(images * batch, bool))


def other_places(count: int, batch: int, permutations: int) -> Iterator[Layout]:
    """Yield layouts of all rows at other places: first every batch turned by half, then ``permutations`` of all."""
    everything = np.ones(count, bool)
    if batch > 1:
        turned = np.roll(np.arange(count).reshape(-1, batch), batch // 2, axis=1).reshape(-1)
        yield Layout(order=turned, compared=everything)
    generator = np.random.default_rng(0)  # which permutations are tried is no secret and needs no address
    for _ in range(permutations):
        yield Layout(order=_permutation(generator, count), compared=everything)


def _permutation(generator: np.random.Generator, count: int) -> NDArray[np.int64]:
    return generator.permutation(np.arange(count))
