"""Write the uniform words under the noise to standard output, as raw bytes, for test batteries that read a stream.

    PYTHONPATH=tests python benchmarks/noise_words.py rows | RNG_test stdin32 -tlmax 256GB

The words are those of the headers' own ``noise_words`` (``tests/support/noise_audit/shim.cpp``).
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import count, product
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from support.noise_audit.shim import Shim, build_shim
from support.noise_audit.source import Segments

_ELEMENTS = 4096
_ROWS = 256  # at once, 4 MiB
_DRAWS = 2**32
SEED = 20_261_127
_Words = NDArray[np.uint32]


def _rows(source: Shim, seed: int) -> Iterator[_Words]:
    """Yield the high words of one image's rows, draw after draw, as a certificate reads them."""
    for first in range(0, _DRAWS, _ROWS):
        yield source.words([(0, 1, first, _ROWS)], _ELEMENTS, seed=seed, half=0)


def _low_words(source: Shim, seed: int) -> Iterator[_Words]:
    """Yield the same of the low words."""
    for first in range(0, _DRAWS, _ROWS):
        yield source.words([(0, 1, first, _ROWS)], _ELEMENTS, seed=seed, half=1)


def _interleaved(source: Shim, seed: int) -> Iterator[_Words]:
    """Yield one word of each of 256 rows in turn: 8 images, both phases, 8 draws, both halves."""
    for number in count():
        segments: Segments = [(8 * number + image, phase, 0, 8) for image, phase in product(range(8), (0, 1))]
        halves = [source.words(segments, _ELEMENTS, seed=seed, half=half) for half in (0, 1)]
        yield np.ascontiguousarray(np.concatenate(halves).T)


STREAMS: Mapping[str, Callable[[Shim, int], Iterator[_Words]]] = {
    "rows": _rows,
    "low-words": _low_words,
    "interleaved": _interleaved,
}


@click.command()
@click.argument("stream", type=click.Choice(list(STREAMS)))
@click.option("--seed", default=SEED, show_default=True)
@click.option("--mib", type=int, help="End after this many MiB; without it the stream ends when its reader ends.")
def main(stream: str, seed: int, mib: int | None) -> None:
    """Write STREAM to standard output."""
    with tempfile.TemporaryDirectory() as folder:
        source = Shim(build_shim(Path(folder)))
    written = 0
    try:
        for words in STREAMS[stream](source, seed):
            sys.stdout.buffer.write(words.data)
            written += words.nbytes
            if mib is not None and written >= mib << 20:
                break
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the battery has read enough
        sys.stdout = None


if __name__ == "__main__":
    main()
