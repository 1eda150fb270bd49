"""The noise contract v1 in torch integers: the same values as the native kernel, slower, for where that is missing."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from purecert.engine.noise.contract import HIGHEST_PIXEL, LOWEST_PIXEL
from purecert.engine.noise.table import NoiseTable

_WORD = 0xFFFFFFFF
_SIGN = np.uint64(1 << 63)
_ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)  # Salmon et al., SC 2011, like the key steps
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_LANES = 4  # one Philox block serves four neighbouring elements
_CHUNK_BLOCKS = 1 << 14  # holds the temporaries, about 20 tensors of int64, to a few MiB


class _Rows(NamedTuple):
    """The address of each row, as int64 columns [rows, 1]."""

    draw: Tensor
    image: Tensor
    stream: Tensor


def fill_rows(
    table: NoiseTable,
    out: NDArray[np.generic],
    segments: NDArray[np.int64],
    *,
    seed: int,
    purpose: int,
    images: NDArray[np.uint8] | None,
) -> None:
    """Write clip(image + q), or clip(q) without images, into ``out`` [rows, elements]; arguments are checked."""
    slots, rows = _rows_of(segments, purpose)
    target = torch.from_numpy(out)
    for first, last, left, right in _chunks(*out.shape):
        q = _noise(table, _Rows(*(column[first:last] for column in rows)), left, right, seed)
        if images is not None:
            q += torch.from_numpy(images[slots[first:last], left:right])
        target[first:last, left:right] = q.clamp_(LOWEST_PIXEL, HIGHEST_PIXEL).to(target.dtype)


def draw_row(
    table: NoiseTable, out: NDArray[np.int16], *, seed: int, image: int, phase: int, draw: int, purpose: int
) -> None:
    """Write q of one row into ``out`` [count], before image and clip; arguments are checked."""
    _, rows = _rows_of(np.array([[0, image, phase, draw, 1]], dtype=np.int64), purpose)
    target = torch.from_numpy(out)
    for _, _, left, right in _chunks(1, out.size):
        target[left:right] = _noise(table, rows, left, right, seed)[0].to(torch.int16)


def _rows_of(segments: NDArray[np.int64], purpose: int) -> tuple[NDArray[np.int64], _Rows]:
    """Return the image slot and the address of every row of ``segments``."""
    slot, image, phase, first, count = segments.T
    ends = np.cumsum(count)
    draw = np.arange(count.sum()) + np.repeat(first - (ends - count), count)
    columns = (draw, np.repeat(image, count), np.repeat(4 * purpose + 2 * phase, count))
    return np.repeat(slot, count), _Rows(*(torch.from_numpy(column).unsqueeze(1) for column in columns))


def _chunks(rows: int, elements: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (first row, last row, first element, last element) of pieces of at most ``_CHUNK_BLOCKS`` blocks."""
    width = min(-(-elements // _LANES), _CHUNK_BLOCKS) * _LANES
    height = max(1, _CHUNK_BLOCKS * _LANES // max(1, width))
    for first in range(0, rows, height):
        for left in range(0, elements, max(1, width)):
            yield first, min(first + height, rows), left, min(left + width, elements)


def _noise(table: NoiseTable, rows: _Rows, left: int, right: int, seed: int) -> Tensor:
    """Return q of elements ``left`` .. ``right`` - 1, int64 [rows, right - left]; ``left`` is a multiple of 4."""
    block = torch.arange(left // _LANES, -(-right // _LANES)).unsqueeze(0)
    key = (seed & _WORD, seed >> 32)
    high = _philox((block, rows.draw, rows.image, rows.stream), key)[:, : right - left]
    low = _philox((block, rows.draw, rows.image, rows.stream + 1), key)[:, : right - left]
    # torch has no unsigned 64-bit search: flipping the top bit of both sides keeps the order under signed compares.
    uniform = ((high << 32) | low) ^ torch.iinfo(torch.int64).min
    thresholds = torch.from_numpy((table.thresholds ^ _SIGN).view(np.int64))
    return torch.searchsorted(thresholds, uniform, right=True) - table.reach


def _philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> Tensor:
    """Return the Philox4x32-10 words of every block, int64 [rows, 4 * blocks], each in [0, 2^32)."""
    a, b, c, d = counter
    key0, key1 = key
    for _ in range(_ROUNDS):
        product0, product1 = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]  # wrap modulo 2^64, which keeps every bit
        a, b = _high(product1) ^ b ^ key0, product1 & _WORD
        c, d = _high(product0) ^ d ^ key1, product0 & _WORD
        key0, key1 = (key0 + _KEY_STEPS[0]) & _WORD, (key1 + _KEY_STEPS[1]) & _WORD
    return torch.stack((a, b, c, d), dim=-1).flatten(start_dim=1)


def _high(product: Tensor) -> Tensor:
    return (product >> 32) & _WORD  # the mask takes off the sign that the shift brought in
