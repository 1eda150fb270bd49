"""The native search on every path: any table, the low word where it decides, and the three output formats."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

Thresholds = NDArray[np.uint64]
_COUNT = 400


def _table(values: list[int]) -> Thresholds:
    return np.array(sorted(values), dtype=np.uint64)


def _uniforms(kernels: ModuleType, *, seed: int, draw: int) -> NDArray[np.uint64]:
    """The 64-bit integers behind the first elements of phase 0 of image 5."""
    key = np.array([seed % 2**32, seed // 2**32], dtype=np.uint32)
    high, low = (
        np.concatenate(
            [kernels.philox4x32(np.array([block, draw, 5, half], dtype=np.uint32), key) for block in range(_COUNT // 4)]
        ).astype(np.uint64)
        for half in (0, 1)
    )
    return (high << np.uint64(32)) | low


def _check(kernels: ModuleType, thresholds: Thresholds, *, seed: int = 2**40 + 9, draw: int = 3) -> None:
    uniforms = _uniforms(kernels, seed=seed, draw=draw)
    expected = np.searchsorted(thresholds, uniforms, side="right") - len(thresholds) // 2
    table = kernels.ThresholdTable(thresholds)
    for path in kernels.paths():
        drawn = np.empty(_COUNT, dtype=np.int16)
        table.draw(drawn, seed=seed, image=5, phase=0, draw=draw, purpose=0, path=path)
        np.testing.assert_array_equal(drawn, expected, err_msg=path)


def test_the_low_word_decides_where_the_high_words_tie(kernels: ModuleType) -> None:
    uniforms = [int(u) for u in _uniforms(kernels, seed=2**40 + 9, draw=3)]
    for shift in (-1, 0, 1):
        _check(kernels, _table([u + shift for u in uniforms]))
    high_only = [u >> 32 << 32 for u in uniforms]
    _check(kernels, _table([*high_only, *(u | 0xFFFFFFFF for u in high_only)]))
    _check(kernels, _table([u + shift for u in uniforms[:60] for shift in (-2, -1, -1, 0, 0, 0, 1, 2)]))


@pytest.mark.parametrize(
    "thresholds",
    [
        [],
        [0, 0],
        [0, 2**64 - 1],
        [2**64 - 1] * 4,
        [2**63] * 65534,
        list(range(2**62, 2**62 + 1000)),
        [slice_ << 51 for slice_ in range(8192)],
        [(slice_ << 51) + offset for slice_ in range(1, 8192) for offset in (-1, 1)],
    ],
    ids=["none", "zeros", "ends", "all_at_the_end", "longest", "one_slice", "slice_starts", "around_slice_starts"],
)
def test_extreme_tables_are_searched_right(kernels: ModuleType, thresholds: list[int]) -> None:
    _check(kernels, _table(thresholds))


@settings(max_examples=60, deadline=None)
@given(
    thresholds=st.lists(st.integers(0, 2**64 - 1), max_size=300).filter(lambda values: len(values) % 2 == 0),
    width=st.integers(1, 64),
    seed=st.integers(0, 2**64 - 1),
)
def test_any_table_is_searched_as_numpy_would(
    kernels: ModuleType, thresholds: list[int], width: int, seed: int
) -> None:
    _check(kernels, _table([value >> (64 - width) for value in thresholds]), seed=seed)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_every_grid_integer_is_written_exactly(kernels: ModuleType, dtype: type[np.float16 | np.float32]) -> None:
    steps = 4 * 4096
    table = kernels.ThresholdTable(_table([(2**64 // steps) * index for index in range(steps)]))
    segments = np.array([[0, 0, 0, 0, 100]])
    whole, other = np.empty((100, 2000), dtype=np.int16), np.empty((100, 2000), dtype=dtype)
    for path in kernels.paths():
        for out in (whole, other):
            table.fill(out, segments, seed=1, purpose=0, images=None, threads=1, path=path)
        assert set(whole.ravel().tolist()) == set(range(-2048, 2048))
        assert other.tobytes() == whole.astype(dtype).tobytes()
