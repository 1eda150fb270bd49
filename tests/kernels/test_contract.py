"""The noise contract (kernels/README.md) against a slow reference in plain Python integers."""

import random
from bisect import bisect_right
from fractions import Fraction
from functools import lru_cache
from types import ModuleType

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from purecert.engine.noise.paths import NoisePath
from purecert.engine.noise.rows import draw, fill_rows
from purecert.engine.noise.table import extra_noise, smoothing_noise

_LAST = 2**32 - 1

# Random123's known answers for philox4x32-10 (tests/kat_vectors): counter, key, result.
_KNOWN_ANSWERS = [
    ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((_LAST,) * 4, (_LAST,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Philox4x32-10 as section 4 of Salmon et al. (SC 2011) writes it, with S-boxes, swaps and a key schedule."""
    left, right = [counter[1], counter[3]], [counter[0], counter[2]]
    for step in range(10):
        round_key = [(key[0] + step * 0x9E3779B9) % 2**32, (key[1] + step * 0xBB67AE85) % 2**32]
        products = [right[0] * 0xD2511F53, right[1] * 0xCD9E8D57]
        low = [product % 2**32 for product in products]
        mixed = [products[box] // 2**32 ^ round_key[1 - box] ^ left[1 - box] for box in (0, 1)]
        left, right = low[::-1], mixed[::-1]  # the permutation: each box's output feeds the other one next
    return right[0], left[0], right[1], left[1]


@lru_cache
def reference_thresholds(scale: Fraction) -> list[int]:
    """T_j of the contract, one plain evaluation each at 60 digits."""
    with mpmath.workdps(60):

        def scaled_phi(j: int) -> int:
            return int(mpmath.floor(mpmath.ldexp(mpmath.ncdf((mpmath.mpf(2 * j + 1) / 2) / _real(scale)), 64)))

        reach = next(j for j in range(40_000) if scaled_phi(-j - 1) == 0)
        return [scaled_phi(j) for j in range(-reach, reach)]


def reference_row(
    scale: Fraction, elements: int, *, seed: int, image: int, phase: int, draw: int, purpose: int
) -> list[int]:
    """q of every element of a row, by the letter of the contract."""
    thresholds = reference_thresholds(scale)
    row = []
    for element in range(elements):
        high, low = (
            philox((element // 4, draw, image, 4 * purpose + 2 * phase + half), (seed % 2**32, seed // 2**32))[
                element % 4
            ]
            for half in (0, 1)
        )
        row.append(bisect_right(thresholds, 2**32 * high + low) - len(thresholds) // 2)
    return row


def _real(value: Fraction) -> mpmath.mpf:
    return mpmath.mpf(value.numerator) / value.denominator


def _words(values: tuple[int, ...]) -> NDArray[np.uint32]:
    return np.array(values, dtype=np.uint32)


@pytest.mark.parametrize(("counter", "key", "words"), _KNOWN_ANSWERS)
def test_philox_gives_the_published_known_answers(
    kernels: ModuleType, counter: tuple[int, ...], key: tuple[int, ...], words: tuple[int, ...]
) -> None:
    assert philox(counter, key) == words
    assert tuple(kernels.philox4x32(_words(counter), _words(key))) == words


def test_native_philox_equals_the_paper_on_random_blocks(kernels: ModuleType) -> None:
    source = random.Random(1)
    for _ in range(500):
        counter = tuple(source.getrandbits(32) for _ in range(4))
        key = tuple(source.getrandbits(32) for _ in range(2))
        assert tuple(kernels.philox4x32(_words(counter), _words(key))) == philox(counter, key)


@pytest.mark.parametrize("sigma", [0.0003, 0.12, 0.5, 2.0])
def test_draw_follows_the_contract_by_the_letter(sigma: float, path: NoisePath) -> None:
    for draw_index in (0, 77, _LAST - 1, _LAST):
        _assert_contract(sigma, draw_index, path)


def _assert_contract(sigma: float, draw_index: int, path: NoisePath) -> None:
    """Assert that one draw of random seed, image, phase and length is the reference's."""
    source = random.Random(f"{sigma} {draw_index}")
    seed, image, phase = source.getrandbits(64), source.getrandbits(32), source.getrandbits(1)
    count = source.randrange(30, 70)
    q = draw(sigma, seed=seed, image=image, phase=phase, draw=draw_index, count=count, path=path)
    assert q.dtype == np.int16
    scale = 255 * Fraction(sigma)
    expected = reference_row(scale, count, seed=seed, image=image, phase=phase, draw=draw_index, purpose=0)
    assert q.tolist() == expected


def test_rows_of_many_segments_follow_the_contract_by_the_letter(path: NoisePath) -> None:
    for elements in (1, 2, 3, 4, 5, 27, 48):
        _assert_rows(elements, path)


def _assert_rows(elements: int, path: NoisePath) -> None:
    """Assert that rows of this length, of segments at both ends of the draws, are the reference's."""
    source = random.Random(elements)
    images = np.random.default_rng(elements).integers(0, 256, (3, elements), dtype=np.uint8)
    segments = [
        (source.randrange(3), source.getrandbits(32), source.getrandbits(1), first, source.randrange(1, 4))
        for first in (0, 5, 2**31 - 1, 2**31, _LAST - 2)
    ]
    seed = source.getrandbits(64)
    table = smoothing_noise(2.0)  # wide enough for the clip to act
    out = np.empty((sum(segment[-1] for segment in segments), elements), dtype=np.int16)
    fill_rows(table, out, np.array(segments), seed=seed, images=images, path=path)
    expected = [
        [
            min(max(int(x) + q, -2048), 2047)
            for x, q in zip(
                images[slot],
                reference_row(table.scale, elements, seed=seed, image=image, phase=phase, draw=first + n, purpose=0),
                strict=True,
            )
        ]
        for slot, image, phase, first, count in segments
        for n in range(count)
    ]
    assert out.tolist() == expected


def test_extra_inputs_are_noise_alone_in_streams_of_their_own(path: NoisePath) -> None:
    table = extra_noise()
    for purpose in (1, 2, 2**30 - 1):
        out = np.empty((2, 30), dtype=np.int16)
        fill_rows(table, out, np.array([[9, 4, 0, 3, 1], [0, 4, 1, 3, 1]]), seed=7, purpose=purpose, path=path)
        for row, phase in zip(out.tolist(), (0, 1), strict=True):
            expected = reference_row(table.scale, 30, seed=7, image=4, phase=phase, draw=3, purpose=purpose)
            assert row == expected, f"purpose {purpose}, phase {phase}"


@pytest.mark.parametrize("with_image", [True, False])
def test_the_clip_acts_at_both_ends_and_nowhere_else(with_image: bool, path: NoisePath) -> None:
    segments = np.array([[0, 0, 0, 0, 60]])
    images = np.full((1, 50), 255, dtype=np.uint8) if with_image else None
    out = np.empty((60, 50), dtype=np.int16)
    fill_rows(smoothing_noise(6.0), out, segments, seed=3, images=images, path=path)
    unclipped = [draw(6.0, seed=3, image=0, phase=0, draw=n, count=50, path=path) for n in range(60)]
    shifted = np.array(unclipped) + (255 if with_image else 0)
    assert shifted.min() < -2048
    assert shifted.max() > 2047
    np.testing.assert_array_equal(out, np.clip(shifted, -2048, 2047))
