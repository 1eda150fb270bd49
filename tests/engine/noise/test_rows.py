"""Rows of noise depend on their address alone: not on path, batch, order, threads or output format."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import config
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.noise.paths import NoisePath, active_path
from purecert.engine.noise.rows import draw, fill_rows
from purecert.engine.noise.table import extra_noise, smoothing_noise
from support.noise_paths import PATHS, missing_path

_WORDS = 2**32
_ELEMENTS = 3 * 5 * 7  # no multiple of 4
_SIGMAS = (0.05, 0.25, 2.0)
_IMAGES = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 7), dtype=np.uint8)


@pytest.fixture
def _types_unchecked() -> Iterator[None]:
    """Let wrong types through to the function itself, as they come where the tests' type checker is not there."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def _filled(
    segments: NDArray[np.int64], *, sigma: float = 0.5, dtype: type = np.int16, **options: Any
) -> NDArray[np.generic]:
    out = np.empty((int(segments[:, 4].sum()), *_IMAGES.shape[1:]), dtype=dtype)
    fill_rows(smoothing_noise(sigma), out, segments, **{"seed": 11, "images": _IMAGES, **options})
    return out


def _random_segments(source: np.random.Generator, count: int) -> NDArray[np.int64]:
    columns = [source.integers(0, end, count) for end in (4, _WORDS, 2, _WORDS - 40, 40)]
    return np.stack(columns, axis=1)


def test_z_is_the_clipped_sum_of_image_and_draw(path: NoisePath) -> None:
    segments = np.array([[2, 70, 0, 5, 3], [1, 71, 1, 2, 4]])
    out = _filled(segments, sigma=2.0, path=path)
    row = 0
    for slot, image, phase, first, count in segments.tolist():
        for n in range(first, first + count):
            q = draw(2.0, seed=11, image=image, phase=phase, draw=n, count=_ELEMENTS, path=path)
            expected = np.clip(_IMAGES[slot].ravel().astype(np.int64) + q, -2048, 2047)
            np.testing.assert_array_equal(out[row].ravel(), expected)
            row += 1


def test_the_three_formats_hold_the_same_integers(path: NoisePath) -> None:
    segments = _random_segments(np.random.default_rng(1), 20)
    for sigma in _SIGMAS:
        whole = _filled(segments, sigma=sigma, path=path)
        assert whole.min() >= -2048
        assert whole.max() <= 2047
        for dtype in (np.float16, np.float32):
            found = _filled(segments, sigma=sigma, dtype=dtype, path=path)
            assert found.tobytes() == whole.astype(dtype).tobytes(), f"sigma {sigma}, {dtype.__name__}"


@pytest.mark.parametrize("batch", [1, 7, 256])
def test_batch_size_and_order_of_images_change_no_row(batch: int, path: NoisePath) -> None:
    draws = 60
    addresses = [(slot, 100 + slot, phase, n) for slot in range(3) for phase in (0, 1) for n in range(draws)]
    whole = _filled(np.array([[slot, 100 + slot, phase, 0, draws] for slot in range(3) for phase in (0, 1)]), path=path)
    order = np.random.default_rng(batch).permutation(len(addresses))
    for begin in range(0, len(order), batch):
        chosen = order[begin : begin + batch]
        rows = _filled(np.array([(*addresses[index], 1) for index in chosen]), path=path)
        np.testing.assert_array_equal(rows, whole[chosen])


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 300), max_size=8),
    first=st.sampled_from([0, 12345, _WORDS - 300]),
    threads=st.sampled_from([1, 2, 5, 1000]),
)
def test_any_split_and_any_number_of_threads_give_the_same_rows(cuts: list[int], first: int, threads: int) -> None:
    edges = [0, *sorted(cuts), 300]
    split = np.array([[0, 9, 1, first + a, b - a] for a, b in pairwise(edges)])
    # So many elements that nine threads have enough to do.
    image = np.random.default_rng(1).integers(0, 256, (1, 2000), dtype=np.uint8)
    rows = [np.empty((300, 2000), dtype=np.int16) for _ in range(2)]
    fill_rows(smoothing_noise(0.5), rows[0], split, seed=11, images=image, threads=threads)
    fill_rows(smoothing_noise(0.5), rows[1], np.array([[0, 9, 1, first, 300]]), seed=11, images=image)
    np.testing.assert_array_equal(*rows)


@settings(max_examples=60, deadline=None)
@given(
    sigma=st.sampled_from([0.0003, 0.05, 0.25, 1.0, 2.0, 14.0]),
    seed=st.integers(0, 2**64 - 1),
    image=st.integers(0, _WORDS - 1),
    phase=st.integers(0, 1),
    first=st.integers(0, _WORDS - 3),
    elements=st.integers(1, 200),
    purpose=st.sampled_from([0, 1, 2**30 - 1]),
    dtype=st.sampled_from([np.int16, np.float16, np.float32]),
)
def test_every_path_writes_the_same_bytes(
    sigma: float, seed: int, image: int, phase: int, first: int, elements: int, purpose: int, dtype: type
) -> None:
    images = np.random.default_rng(elements).integers(0, 256, (2, elements), dtype=np.uint8) if purpose == 0 else None
    segments = np.array([[0, image, phase, first, 1], [1, image, 1 - phase, first, 2]])
    written = set()
    for path in PATHS:
        if missing_path(path) is None:
            out: NDArray[np.generic] = np.full((3, elements), 7, dtype=dtype)
            table = smoothing_noise(sigma)
            fill_rows(table, out, segments, seed=seed, purpose=purpose, images=images, path=path)
            written.add(out.tobytes())
    assert len(written) == 1


def test_torch_pieces_of_long_rows_join_without_a_seam() -> None:
    pytest.importorskip("purecert._kernels", reason="the native module is not built", exc_type=ImportError)
    pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
    address = {"seed": 2**63 + 1, "image": 3, "phase": 1, "draw": 8, "count": 200_001}
    np.testing.assert_array_equal(draw(1.0, **address, path="torch"), draw(1.0, **address, path="native"))


def test_more_elements_never_change_the_first_ones(path: NoisePath) -> None:
    address = {"seed": 5, "image": 0, "phase": 0, "draw": 0}
    long = draw(0.25, **address, count=50, path=path)
    for count in range(50):
        np.testing.assert_array_equal(draw(0.25, **address, count=count, path=path), long[:count])


def test_every_part_of_the_address_matters(path: NoisePath) -> None:
    base = {"seed": 5, "image": 0, "phase": 0, "draw": 0}
    others = [{**base, name: 1} for name in base] + [{**base, "seed": 5 + 2**32}]
    rows = [tuple(draw(0.25, **address, count=64, path=path).tolist()) for address in (base, *others)]
    extra = np.empty((1, 64), dtype=np.int16)
    fill_rows(smoothing_noise(0.25), extra, np.array([[0, 0, 0, 0, 1]]), seed=5, purpose=1, path=path)
    assert len({*rows, tuple(extra[0].tolist())}) == len(rows) + 1


def test_an_image_that_cannot_be_written_to_is_read(path: NoisePath) -> None:
    images = _IMAGES.copy()
    images.flags.writeable = False
    segments = np.array([[3, 0, 0, 0, 2]])
    np.testing.assert_array_equal(_filled(segments, images=images, path=path), _filled(segments, path=path))


@pytest.mark.usefixtures("_types_unchecked")
def test_numpy_integers_are_taken_as_numbers(path: NoisePath) -> None:
    address: dict[str, Any] = {
        "seed": np.uint64(2**63),
        "image": np.int64(3),
        "phase": np.uint8(1),
        "draw": np.int32(4),
    }
    plain = {name: int(value) for name, value in address.items()}
    np.testing.assert_array_equal(draw(0.5, **address, count=9, path=path), draw(0.5, **plain, count=9, path=path))


def test_nothing_is_written_for_no_rows(path: NoisePath) -> None:
    assert _filled(np.empty((0, 5), dtype=np.int64), path=path).shape == (0, 3, 5, 7)


def test_the_path_in_use_is_named() -> None:
    assert active_path() in PATHS


def test_the_fastest_path_is_the_widest_that_the_processor_has() -> None:
    pytest.importorskip("purecert._kernels", reason="the native module is not built", exc_type=ImportError)
    here = [path for path in PATHS if path != "torch" and missing_path(path) is None]
    assert active_path() == here[-1]


@pytest.mark.usefixtures("_types_unchecked")
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"sigma": 0.0}, "sigma to be a finite number > 0"),
        ({"sigma": 20.0}, r"sigma at most 14\.15"),
        ({"seed": -1}, r"seed in \[0, 18446744073709551615\], got -1"),
        ({"seed": 2**64}, r"seed in .*, got 18446744073709551616"),
        ({"image": _WORDS}, r"image in \[0, 4294967295\], got 4294967296"),
        ({"phase": 2}, r"phase in \[0, 1\], got 2"),
        ({"draw": -1}, "draw in .*, got -1"),
        ({"count": -1}, "count in .*, got -1"),
        ({"count": 2**34 + 1}, r"count in \[0, 17179869184\]"),
        ({"path": "avx"}, "path to be native, portable, avx2, avx512, torch or None, got 'avx'"),
    ],
)
def test_a_bad_draw_is_refused_in_words(changed: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {"sigma": 0.5, "seed": 0, "image": 0, "phase": 0, "draw": 0, "count": 4}
    with pytest.raises(InputError, match=words):
        draw(**{**good, **changed})


_BAD_FILLS: list[tuple[dict[str, Any], str]] = [
    ({"out": np.empty((3, 8))}, r"out to be int16, float16, float32 \[rows, \.\.\.\], got float64 \[3, 8\]"),
    ({"out": np.empty((3, 8), dtype=">f4")}, "out to be int16, float16, float32"),
    ({"out": np.empty(24, dtype=np.int16)}, r"got int16 \[24\]"),
    ({"out": np.empty((8, 3), dtype=np.int16).T}, r"out to be C-contiguous, got strides \(2, 6\)"),
    ({"out": np.broadcast_to(np.int16(0), (3, 1))}, "out to be writable|C-contiguous"),
    ({"out": np.empty((3, 9), dtype=np.int16)}, "images of 9 elements, as a row of out, got 8"),
    ({"out": np.empty((4, 8), dtype=np.int16)}, "sum to the 4 rows of out, got 3"),
    ({"images": np.zeros((2, 8))}, r"images to be uint8 \[rows, \.\.\.\], got float64 \[2, 8\]"),
    ({"images": np.zeros((8, 2), dtype=np.uint8).T}, "images to be C-contiguous"),
    ({"segments": np.zeros((3, 4), dtype=np.int64)}, r"segments to be int64 \[m, 5\], got int64 \[3, 4\]"),
    ({"segments": np.zeros((3, 5))}, r"segments to be int64 \[m, 5\], got float64 \[3, 5\]"),
    ({"segments": np.array([[2, 0, 0, 0, 3]])}, r"segment slot in \[0, 1\], got 2"),
    ({"segments": np.array([[-1, 0, 0, 0, 3]])}, "segment slot in .*, got -1"),
    ({"segments": np.array([[0, _WORDS, 0, 0, 3]])}, r"segment image in \[0, 4294967295\], got 4294967296"),
    ({"segments": np.array([[0, 0, -1, 0, 3]])}, "segment phase in .*, got -1"),
    ({"segments": np.array([[0, 0, 0, _WORDS + 1, 3]])}, "segment first_draw in .*, got 4294967297"),
    ({"segments": np.array([[0, 0, 0, _WORDS, 3]])}, r"first_draw \+ count <= 4294967296 .*, got 4294967299"),
    ({"segments": np.array([[0, 0, 0, _WORDS - 2, 3]])}, r"first_draw \+ count <= 4294967296 .*, got 4294967297"),
    ({"segments": np.array([[0, 0, 0, 0, 4], [0, 0, 0, 0, -1]])}, "segment count in .*, got -1"),
    ({"seed": 2**64}, "seed in"),
    ({"purpose": 2**30}, r"purpose in \[0, 1073741823\], got 1073741824"),
    ({"purpose": -1}, "purpose in .*, got -1"),
    ({"threads": 0}, r"threads in \[1, 1024\], got 0"),
    ({"threads": 1025}, r"threads in \[1, 1024\], got 1025"),
    ({"path": "cuda"}, "path to be native, .*, torch or None, got 'cuda'"),
]


@pytest.mark.usefixtures("_types_unchecked")
def test_every_bad_fill_is_refused_in_the_same_words_by_every_path(path: NoisePath) -> None:
    for changed, words in _BAD_FILLS:
        _assert_refused(changed, words, path)


def _assert_refused(changed: dict[str, Any], words: str, path: NoisePath) -> None:
    """Assert that one change of a good fill is refused, and that the fill is accepted without it."""
    good: dict[str, Any] = {
        "out": np.empty((3, 8), dtype=np.int16),
        "segments": np.array([[0, 5, 0, 0, 2], [1, 6, 1, 9, 1]]),
        "seed": 1,
        "images": np.zeros((2, 8), dtype=np.uint8),
        "path": path,
    }
    with pytest.raises(InputError, match=words):
        fill_rows(extra_noise(), **{**good, **changed})
    fill_rows(extra_noise(), **good)


def test_a_read_only_buffer_is_refused(path: NoisePath) -> None:
    out = np.empty((1, 8), dtype=np.int16)
    out.flags.writeable = False
    with pytest.raises(InputError, match="out to be writable, got a read-only array"):
        fill_rows(extra_noise(), out, np.array([[0, 0, 0, 0, 1]]), seed=0, purpose=1, path=path)


@pytest.mark.usefixtures("_types_unchecked")
def test_a_seed_that_is_no_integer_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        draw(0.5, seed=cast(int, 1.0), image=0, phase=0, draw=0, count=4)
