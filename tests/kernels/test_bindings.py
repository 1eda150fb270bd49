"""The native module refuses what it cannot read, and says what it expected."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

_WORDS = 2**32


@pytest.fixture
def good(kernels: ModuleType) -> dict[str, Any]:
    """The arguments of a fill that is accepted."""
    return {
        "out": np.empty((3, 8), dtype=np.int16),
        "segments": np.array([[0, 5, 0, 0, 2], [1, 6, 1, 9, 1]]),
        "seed": 1,
        "purpose": 0,
        "images": np.zeros((2, 8), dtype=np.uint8),
        "threads": 1,
    }


@pytest.fixture
def table(kernels: ModuleType) -> Any:
    """A small table of thresholds."""
    return kernels.ThresholdTable(np.array([2**62, 2**63], dtype=np.uint64))


_BAD_FILLS: list[tuple[str, object, str]] = [
    ("out", np.empty((3, 8), dtype=np.float64), r"out to be int16, float16 or float32, got float64 \[3, 8\]"),
    ("out", np.empty((3, 8), dtype=np.uint16), r"out to be int16, float16 or float32, got uint16"),
    ("out", np.empty(24, dtype=np.int16), r"out \[rows, elements\], got int16 \[24\]"),
    ("out", np.empty((3, 16), dtype=np.int16)[:, ::2], r"out to be C-contiguous, got strides \[16, 2\]"),
    ("out", np.empty((8, 3), dtype=np.int16).T, r"out to be C-contiguous"),
    ("out", np.empty((4, 8), dtype=np.int16), r"segment counts to sum to the 4 rows of out, got 3"),
    ("out", np.empty((2, 8), dtype=np.int16), r"segment counts to sum to the 2 rows of out, got at least 3"),
    ("out", np.empty((3, 7), dtype=np.int16), r"images of out's 7 elements, got uint8 \[2, 8\]"),
    ("images", np.zeros((2, 8), dtype=np.int8), r"images to be uint8 \[slots, elements\], got int8 \[2, 8\]"),
    ("images", np.zeros(16, dtype=np.uint8), r"images to be uint8 \[slots, elements\], got uint8 \[16\]"),
    ("images", np.zeros((2, 16), dtype=np.uint8)[:, ::2], r"images to be C-contiguous"),
    ("segments", np.zeros((3, 4), dtype=np.int64), r"segments \[m, 5\], got int64 \[3, 4\]"),
    ("segments", np.zeros(5, dtype=np.int64), r"segments \[m, 5\], got int64 \[5\]"),
    ("segments", np.zeros((3, 5), dtype=np.int32), r"segments to be int64 \[m, 5\], got int32"),
    ("segments", np.zeros((3, 10), dtype=np.int64)[:, ::2], r"segments to be C-contiguous"),
    ("segments", np.array([[2, 0, 0, 0, 3]]), r"segment slot in \[0, 2\), got 2"),
    ("segments", np.array([[-1, 0, 0, 0, 3]]), r"segment slot in \[0, 2\), got -1"),
    ("segments", np.array([[0, _WORDS, 0, 0, 3]]), r"segment image in \[0, 4294967296\), got 4294967296"),
    ("segments", np.array([[0, -1, 0, 0, 3]]), r"segment image in .*, got -1"),
    ("segments", np.array([[0, 0, 2, 0, 3]]), r"segment phase in \[0, 2\), got 2"),
    ("segments", np.array([[0, 0, 0, _WORDS + 1, 3]]), r"segment first_draw in .*, got 4294967297"),
    ("segments", np.array([[0, 0, 0, _WORDS - 2, 3]]), r"first_draw \+ count <= 2\*\*32, got 4294967297"),
    ("segments", np.array([[0, 0, 0, 0, -3]]), r"segment count in .*, got -3"),
    ("segments", np.array([[0, 0, 0, 0, 2**62]]), r"segment count in .*, got 46"),
    ("seed", -1, r"seed in \[0, 18446744073709551615\], got -1"),
    ("seed", 2**64, r"seed in .*, got 18446744073709551616"),
    ("purpose", 2**30, r"purpose in \[0, 1073741823\], got 1073741824"),
    ("purpose", -1, r"purpose in .*, got -1"),
    ("threads", 0, r"threads >= 1, got 0"),
    ("threads", 1025, r"threads in \[0, 1024\], got 1025"),
    ("path", "neon", r"path to be one that this processor runs \(.*portable\), got neon"),
]


def test_the_good_fill_is_accepted(table: Any, good: dict[str, Any]) -> None:
    good["images"].flags.writeable = False
    table.fill(**good)
    assert set(np.unique(good["out"])) <= {-1, 0, 1}


def test_every_bad_fill_is_refused_in_words(table: Any, good: dict[str, Any]) -> None:
    for name, value, words in _BAD_FILLS:
        _assert_refused(table, {**good, name: value}, words)


def _assert_refused(table: Any, fill: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        table.fill(**fill)


def test_a_read_only_buffer_is_refused(table: Any, good: dict[str, Any]) -> None:
    good["out"].flags.writeable = False
    with pytest.raises(TypeError, match="incompatible function arguments"):
        table.fill(**good)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("out", np.empty(4, dtype=np.int32), r"out to be int16 \[count\], got int32 \[4\]"),
        ("out", np.empty((2, 2), dtype=np.int16), r"out to be int16 \[count\], got int16 \[2, 2\]"),
        ("out", np.empty(8, dtype=np.int16)[::2], r"out to be C-contiguous"),
        ("seed", 2**64, "seed in"),
        ("image", _WORDS, "image in"),
        ("phase", 2, "phase in"),
        ("draw", _WORDS, "draw in"),
        ("purpose", 2**30, "purpose in"),
        ("path", "", r"path to be one that this processor runs \(.*portable\), got "),
    ],
)
def test_a_bad_draw_is_refused_in_words(table: Any, name: str, value: object, words: str) -> None:
    good = {"out": np.empty(4, dtype=np.int16), "seed": 1, "image": 0, "phase": 0, "draw": 0, "purpose": 0}
    with pytest.raises(ValueError, match=words):
        table.draw(**{**good, name: value})


@pytest.mark.parametrize(
    ("thresholds", "words"),
    [
        (np.zeros(2, dtype=np.int64), r"thresholds to be uint64 \[2J\], got int64 \[2\]"),
        (np.zeros((2, 2), dtype=np.uint64), r"thresholds to be uint64 \[2J\], got uint64 \[2, 2\]"),
        (np.zeros(4, dtype=np.uint64)[::2], "thresholds to be C-contiguous"),
        (np.zeros(3, dtype=np.uint64), "an even number of thresholds, at most 65534, got 3"),
        (np.zeros(65536, dtype=np.uint64), "an even number of thresholds, at most 65534, got 65536"),
        (np.array([1, 5, 4, 9], dtype=np.uint64), "sorted thresholds, got a descent at index 2"),
    ],
)
def test_a_bad_table_is_refused_in_words(kernels: ModuleType, thresholds: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kernels.ThresholdTable(thresholds)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        (np.zeros(3, dtype=np.uint32), np.zeros(2, dtype=np.uint32), r"counter to be uint32 \[4\], got uint32 \[3\]"),
        (np.zeros(4, dtype=np.int32), np.zeros(2, dtype=np.uint32), r"counter to be uint32 \[4\], got int32 \[4\]"),
        (np.zeros(4, dtype=np.uint32), np.zeros(4, dtype=np.uint32), r"key to be uint32 \[2\], got uint32 \[4\]"),
        (np.zeros(4, dtype=np.uint32), np.zeros(2, dtype=np.uint64), r"key to be uint32 \[2\], got uint64 \[2\]"),
    ],
)
def test_a_bad_philox_block_is_refused_in_words(
    kernels: ModuleType, counter: np.ndarray, key: np.ndarray, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        kernels.philox4x32(counter, key)


@pytest.mark.parametrize("shape", [(0, 8), (3, 0)])
def test_an_empty_buffer_is_filled_with_nothing(table: Any, shape: tuple[int, int]) -> None:
    segments = np.array([[0, 0, 0, 0, shape[0]]])
    images = np.zeros((1, shape[1]), dtype=np.uint8)
    table.fill(np.empty(shape, dtype=np.float32), segments, seed=0, purpose=0, images=images, threads=5)
    assert not images.any()


def test_the_module_names_its_contract(kernels: ModuleType) -> None:
    assert kernels.NOISE_CONTRACT == 1
