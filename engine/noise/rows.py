"""The addressed integer noise: (seed, image, phase, draw) names a row of noise, on every machine the same.

The values are bit for bit the same on every path (``paths.py``; contract v1, kernels/README.md).
"""

import math
import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, SupportsIndex, TypeVar

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.noise.paths import NoisePath, chosen_path
from purecert.engine.noise.table import NoiseTable, smoothing_noise

if TYPE_CHECKING:
    from purecert._kernels import ThresholdTable

_WORDS = 2**32
_MAX_PURPOSE = 2**30 - 1  # 4 * purpose + 3 is a word of the counter
_MAX_ELEMENTS = 4 * _WORDS  # a block of four elements is a word of the counter
_MAX_THREADS = 1024
_ANY_SLOT = 2**63  # noise alone reads no slot
_SEGMENT = ("slot", "image", "phase", "first_draw", "count")
_OUT_TYPES = (np.dtype(np.int16), np.dtype(np.float16), np.dtype(np.float32))

_Scalar = TypeVar("_Scalar", bound=np.generic)


def draw(
    sigma: float, *, seed: int, image: int, phase: int, draw: int, count: int, path: NoisePath | None = None
) -> NDArray[np.int16]:
    """Return the first ``count`` values q of one row of smoothing noise, before image and clip.

    Args:
        sigma: Noise standard deviation in pixel units of [0, 1].
        seed: In [0, 2^64).
        image: Index in the dataset, in [0, 2^32).
        phase: 0 selects the class, 1 estimates its probability.
        draw: In [0, 2^32).
        count: Elements, at most 2^34; more of them never change the first ones.
        path: "portable", "avx2", "avx512" or "native" (the fastest of those here), or "torch"; None takes "native", and
            "torch" where the native module is missing.

    Raises:
        InputError: An argument is outside its range.
        BackendError: The path asked for, or every path, is missing.
    """
    table = smoothing_noise(sigma)
    seed = _integer("seed", seed, 2**64)
    image = _integer("image", image, _WORDS)
    phase = _integer("phase", phase, 2)
    draw = _integer("draw", draw, _WORDS)
    q = np.empty(_integer("count", count, _MAX_ELEMENTS + 1), dtype=np.int16)
    chosen = chosen_path(path)
    if chosen != "torch":
        _native_table(table).draw(q, seed=seed, image=image, phase=phase, draw=draw, purpose=0, path=chosen)
    else:
        from purecert.engine.noise import torch_rows as noise_torch

        noise_torch.draw_row(table, q, seed=seed, image=image, phase=phase, draw=draw, purpose=0)
    return q


def fill_rows(
    table: NoiseTable,
    out: NDArray[np.generic],
    segments: NDArray[np.int64],
    *,
    seed: int,
    purpose: int = 0,
    images: NDArray[np.uint8] | None = None,
    threads: int = 1,
    path: NoisePath | None = None,
) -> None:
    """Write noisy images into ``out``, in place: row after row z = clip(image + q, -2048, 2047), exactly.

    A row depends on its own address alone, so neither the split into segments and calls nor ``threads`` changes it.

    Args:
        table: The noise scale: ``smoothing_noise(sigma)``, or ``extra_noise()`` for purposes from 1.
        out: C-contiguous int16, float16 or float32 of shape [rows, ...].
        segments: [m, 5] of (slot, image_index, phase, first_draw, count): the next ``count`` rows are draws
            ``first_draw`` and on of the image in ``images[slot]``, which has ``image_index`` in the dataset.
        seed: In [0, 2^64).
        purpose: 0 for the smoothing noise; from 1 the number of a random purifier's input.
        images: C-contiguous uint8 [slots, ...] with as many elements per image as ``out`` has per row; None
            writes the noise alone, clip(q), and then the slots are not read.
        threads: Threads of the native path, 1 to 1024; torch uses its own setting.
        path: "portable", "avx2", "avx512" or "native" (the fastest of those here), or "torch"; None takes "native", and
            "torch" where the native module is missing.

    Raises:
        InputError: An argument is outside its range or does not fit the others.
        BackendError: The path asked for, or every path, is missing.
    """
    seed = _integer("seed", seed, 2**64)
    purpose = _integer("purpose", purpose, _MAX_PURPOSE + 1)
    threads = _integer("threads", threads, _MAX_THREADS + 1, least=1)
    flat = _flat_rows("out", out, _OUT_TYPES)
    if not out.flags.writeable:
        raise InputError("expected out to be writable, got a read-only array")
    pixels = None if images is None else _flat_rows("images", images, (np.dtype(np.uint8),))
    _check_images(flat, pixels)
    _check_segments(segments, rows=len(flat), slots=_ANY_SLOT if pixels is None else len(pixels))
    segments = np.ascontiguousarray(segments)
    chosen = chosen_path(path)
    if chosen != "torch":
        native = _native_table(table)
        native.fill(flat, segments, seed=seed, purpose=purpose, images=pixels, threads=threads, path=chosen)
    else:
        from purecert.engine.noise import torch_rows as noise_torch

        noise_torch.fill_rows(table, flat, segments, seed=seed, purpose=purpose, images=pixels)


@lru_cache(maxsize=16)
def _native_table(table: NoiseTable) -> "ThresholdTable":
    from purecert._kernels import ThresholdTable

    return ThresholdTable(table.thresholds)


def _integer(name: str, value: SupportsIndex, end: int, *, least: int = 0) -> int:
    """Return ``value``, also where it was a NumPy integer, as an int in [least, end)."""
    number = operator.index(value)
    if not least <= number < end:
        raise InputError(f"expected {name} in [{least}, {end - 1}], got {number}")
    return number


def _flat_rows(name: str, array: NDArray[_Scalar], types: Sequence[np.dtype[np.generic]]) -> NDArray[_Scalar]:
    """Return a view [rows, elements] of ``array``."""
    if array.dtype not in types or array.ndim < 2:
        wanted = ", ".join(str(dtype) for dtype in types)
        raise InputError(f"expected {name} to be {wanted} [rows, ...], got {array.dtype} {list(array.shape)}")
    if not array.flags.c_contiguous:
        raise InputError(f"expected {name} to be C-contiguous, got strides {array.strides}; pass a contiguous copy")
    return array.reshape(len(array), math.prod(array.shape[1:]))


def _check_images(out: NDArray[np.generic], images: NDArray[np.generic] | None) -> None:
    elements = out.shape[1]
    if elements > _MAX_ELEMENTS:
        raise InputError(f"expected at most {_MAX_ELEMENTS} elements per row, got {elements}")
    if images is not None and images.shape[1] != elements:
        raise InputError(f"expected images of {elements} elements, as a row of out, got {images.shape[1]}")


def _check_segments(segments: NDArray[np.int64], *, rows: int, slots: int) -> None:
    if segments.dtype != np.int64 or segments.ndim != 2 or segments.shape[1] != len(_SEGMENT):
        raise InputError(f"expected segments to be int64 [m, 5], got {segments.dtype} {list(segments.shape)}")
    ends = (slots, _WORDS, 2, _WORDS + 1, _WORDS + 1)
    for name, column, end in zip(_SEGMENT, segments.T, ends, strict=True):
        for value in (column.min(initial=0), column.max(initial=0)):
            _integer(f"segment {name}", value, end)
    last = (segments[:, 3] + segments[:, 4]).max(initial=0)
    if last > _WORDS:
        raise InputError(f"expected first_draw + count <= {_WORDS} in every segment, got {last}")
    if segments[:, 4].sum() != rows:
        raise InputError(f"expected segment counts to sum to the {rows} rows of out, got {segments[:, 4].sum()}")
