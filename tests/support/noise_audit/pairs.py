"""Neighbours taken two by two: their joint law on a coarse partition, against the product of the exact ones."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from purecert.engine.noise.table import smoothing_noise
from support.noise_audit.finding import Finding, chi_square
from support.noise_audit.law import Law, clipped_law
from support.noise_audit.source import NoiseSource

_TABLE = smoothing_noise(0.5)
_CELLS = 16
_ELEMENTS = 3072
_ROWS = 256
_Pair = tuple[NDArray[np.int16], NDArray[np.int16]]


def pair_findings(source: NoiseSource, chunks: int, *, seed: int) -> list[Finding]:
    """Return, for each kind of neighbour, how the counts of 256 joint cells fit; no value is in two pairs."""
    law = clipped_law(_TABLE)
    cell, masses = _partition(law)
    expected = np.outer(masses, masses).ravel()
    found = []
    for name, neighbours in _NEIGHBOURS.items():
        counts = np.zeros(expected.size, dtype=np.int64)
        for chunk in range(chunks):
            one, other = neighbours(source, seed, chunk)
            joint = cell[one.astype(np.intp) - law.lowest] * masses.size + cell[other.astype(np.intp) - law.lowest]
            counts += np.bincount(joint.ravel(), minlength=counts.size)
        found.append(chi_square(f"{name}: joint chi-square, {expected.size} cells", counts, expected * counts.sum()))
    return found


def _partition(law: Law) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the cell of every value, and the probability of every cell."""
    starts = law.cells(_CELLS)
    steps = np.zeros(law.masses.size, dtype=np.int64)
    steps[starts[1:]] = 1
    return np.cumsum(steps), np.add.reduceat(law.masses, starts)


def _rows(
    source: NoiseSource, seed: int, image: int, phase: int, first: int, rows: int = _ROWS, *, purpose: int = 0
) -> NDArray[np.int16]:
    return source.rows(_TABLE, [(image, phase, first, rows)], _ELEMENTS, seed=seed, purpose=purpose)


def _elements(source: NoiseSource, seed: int, chunk: int) -> _Pair:
    q = _rows(source, seed, chunk, 1, 0)
    return q[:, 0::2], q[:, 1::2]


def _next_block_elements(source: NoiseSource, seed: int, chunk: int) -> _Pair:
    q = _rows(source, seed, chunk, 1, 0).reshape(_ROWS, -1, 2, 4)
    return q[:, :, 0], q[:, :, 1]


def _across_blocks(source: NoiseSource, seed: int, chunk: int) -> _Pair:
    q = _rows(source, seed, chunk, 1, 0).reshape(_ROWS, -1, 2, 4)
    return q[:, :, 0, 3], q[:, :, 1, 0]


def _draws(source: NoiseSource, seed: int, chunk: int) -> _Pair:
    q = _rows(source, seed, 5, 1, 2 * _ROWS * chunk, 2 * _ROWS)
    return q[0::2], q[1::2]


def _images(source: NoiseSource, seed: int, chunk: int) -> _Pair:
    return _rows(source, seed, 2 * chunk, 1, 0), _rows(source, seed, 2 * chunk + 1, 1, 0)


def _phases(source: NoiseSource, seed: int, chunk: int) -> _Pair:
    return _rows(source, seed, chunk, 0, 0), _rows(source, seed, chunk, 1, 0)


def _purposes(source: NoiseSource, seed: int, chunk: int) -> _Pair:
    return _rows(source, seed, chunk, 1, 0), _rows(source, seed, chunk, 1, 0, purpose=1)


def _seeds(source: NoiseSource, seed: int, chunk: int) -> _Pair:
    return _rows(source, seed, chunk, 1, 0), _rows(source, seed + 1, chunk, 1, 0)


_NEIGHBOURS: Mapping[str, Callable[[NoiseSource, int, int], _Pair]] = {
    "neighbouring elements": _elements,
    "elements of neighbouring blocks": _next_block_elements,
    "elements on both sides of a block's end": _across_blocks,
    "neighbouring draws": _draws,
    "neighbouring images": _images,
    "both phases": _phases,
    "purposes 0 and 1": _purposes,
    "neighbouring seeds": _seeds,
}
