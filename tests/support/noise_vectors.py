"""The published noise values of contract v1, row by row, as an independent program made them."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

_VECTORS = Path(__file__).parents[1] / "vectors" / "noise_v1.csv"
_VALUES = 1554


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedRow:
    """One row of noise: its address, and the values of some of its elements."""

    sigma: float
    seed: int
    image: int
    phase: int
    draw: int
    values: dict[int, int]  # element -> q

    @property
    def elements(self) -> int:
        """Return how many elements from the first hold all that were published."""
        return max(self.values) + 1


def published_rows() -> Iterator[PublishedRow]:
    """Yield every published row."""
    with _VECTORS.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == _VALUES
    for (sigma, *numbers), group in groupby(
        lines, key=lambda line: [line[name] for name in ("sigma", "seed", "image", "phase", "draw")]
    ):
        seed, image, phase, draw = map(int, numbers)
        values = {int(line["element"]): int(line["q"]) for line in group}
        yield PublishedRow(sigma=float(sigma), seed=seed, image=image, phase=phase, draw=draw, values=values)
