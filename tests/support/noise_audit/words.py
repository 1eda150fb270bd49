"""The uniform words under the noise: every bit with every other of both halves, and with those of neighbours."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from support.noise_audit.finding import Finding, chi_square, largest
from support.noise_audit.source import WordSource

_ELEMENTS = 4096
_ROWS = 64  # 2^18 words a chunk
_Words = NDArray[np.uint32]
_Pair = tuple[_Words, _Words]


def word_findings(source: WordSource, chunks: int, *, seed: int) -> list[Finding]:
    """Return whether bytes are uniform, and the largest correlation of bits: in a draw, and across neighbours."""
    return [*_bytes(source, chunks, seed), _within(source, chunks, seed), *_between(source, chunks, seed)]


def _rows(
    source: WordSource, seed: int, chunk: int, *, half: int = 0, image: int = 9, phase: int = 1, next_draw: int = 0
) -> _Words:
    segments = [(image, phase, _ROWS * chunk + next_draw, _ROWS)]
    return source.words(segments, _ELEMENTS, seed=seed, half=half)


def _bytes(source: WordSource, chunks: int, seed: int) -> Iterator[Finding]:
    for half, name in enumerate(("high", "low")):
        counts = np.zeros((4, 256), dtype=np.int64)
        for chunk in range(chunks):
            octets = _rows(source, seed, chunk, half=half).reshape(-1, 1).view(np.uint8)
            counts += np.stack([np.bincount(column, minlength=256) for column in octets.T])
        for place, found in enumerate(counts):
            yield chi_square(f"{name} words: byte {place}", found, np.full(256, found.sum() / 256))


def _within(source: WordSource, chunks: int, seed: int) -> Finding:
    """Return the largest correlation between two of the 64 bits of one u."""
    gram, words = np.zeros((64, 64)), 0
    for chunk in range(chunks):
        bits = np.hstack([_signs(_rows(source, seed, chunk, half=half)) for half in (0, 1)])
        gram += bits.T @ bits
        words += len(bits)
    z = gram[np.triu_indices(64, 1)] / words**0.5
    return largest("64 bits of one draw: correlation, 2,016 pairs", z, words)


def _between(source: WordSource, chunks: int, seed: int) -> Iterator[Finding]:
    """Yield the largest correlation between a bit of a word and a bit of its neighbour, for each kind of neighbour."""
    for name, neighbours in _NEIGHBOURS.items():
        gram, words = np.zeros((32, 32)), 0
        for chunk in range(chunks):
            one, other = map(_signs, neighbours(source, seed, chunk))
            gram += one.T @ other
            words += len(one)
        yield largest(f"words of {name}: correlation of bits, 1,024 pairs", gram / words**0.5, words)


def _signs(words: _Words) -> NDArray[np.float32]:
    """Return the 32 bits of every word as -1 and 1, [words, 32]; the sums of a chunk's products are exact."""
    octets = np.ascontiguousarray(words).reshape(-1, 1).view(np.uint8)
    return np.unpackbits(octets, axis=1).astype(np.float32) * 2 - 1


def _shifted(distance: int) -> Callable[[WordSource, int, int], _Pair]:
    def pair(source: WordSource, seed: int, chunk: int) -> _Pair:
        words = _rows(source, seed, chunk)
        return words[:, :-distance], words[:, distance:]

    return pair


_NEIGHBOURS: Mapping[str, Callable[[WordSource, int, int], _Pair]] = {
    "neighbouring elements": _shifted(1),
    "neighbouring blocks": _shifted(4),
    "neighbouring draws": lambda s, seed, n: (_rows(s, seed, n), _rows(s, seed, n, next_draw=1)),
    "neighbouring images": lambda s, seed, n: (_rows(s, seed, n), _rows(s, seed, n, image=10)),
    "both phases": lambda s, seed, n: (_rows(s, seed, n), _rows(s, seed, n, phase=0)),
    "both halves, neighbouring draws": lambda s, seed, n: (
        _rows(s, seed, n),
        _rows(s, seed, n, half=1, next_draw=1),
    ),
}
