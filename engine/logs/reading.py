"""A log as its certifying program left it, and what is wrong with it whatever that program's settings were."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.logs.cohen_tsv import CohenRow, read_cohen_tsv


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicLog:
    """The rows of a log of certificates."""

    path: str
    rows: tuple[CohenRow, ...]
    cut_short: bool  # the last line broke off, and is left out
    sigma_hint: float | None  # the last number of the path that may be a sigma: a name, not a measurement

    @property
    def certified(self) -> list[CohenRow]:
        """Return the rows that do not abstain."""
        return [row for row in self.rows if row.predicted is not None]

    @property
    def texts(self) -> Counter[str]:
        """Return the radii of the rows that do not abstain, as printed, with the number of rows of each."""
        return Counter(row.printed for row in self.certified if row.printed is not None)


def read_log(path: Path) -> PublicLog:
    """Return the log in ``path``.

    Raises:
        InputError: It is no log of certificates, or has no rows.
    """
    log = read_cohen_tsv(path)
    if not log.rows:
        raise InputError(
            f"{path}: expected a log of certificates, found no row; did the run end before its first image?"
        )
    if any(row.printed is None for row in log.rows):
        raise InputError(f"{path}: expected a log of certificates, found no column radius; a log of predictions?")
    return PublicLog(path=str(path), rows=log.rows, cut_short=log.cut_short, sigma_hint=_sigma_hint(path))


def contradictions(log: PublicLog) -> Iterator[str]:
    """Yield what no run could have written: an image twice, a false ``correct``, an abstention with a radius."""
    images = Counter(row.index for row in log.rows)
    for row in log.rows:
        if images[row.index] > 1:
            yield f"image {row.index}: {images[row.index]} rows, where an image has one"
        if row.label is not None and row.correct != (row.predicted == row.label):
            yield f"image {row.index}: label {row.label}, predict {row.predicted}, correct {int(bool(row.correct))}"
        if row.predicted is None and row.radius != 0:
            yield f"image {row.index}: it abstains with the radius {row.printed}"
        if row.predicted is not None and row.p_lower is not None and row.p_lower <= 0.5:
            yield f"image {row.index}: it is certified with the bound {row.p_lower}, which is not above one half"


def _sigma_hint(path: Path) -> float | None:
    """Return the last number of the path's last two names that can be a noise level."""
    numbers = re.findall(r"(?<![0-9.])[0-9]?\.[0-9]{1,3}(?![0-9])", "/".join(path.parts[-2:]))
    return float(numbers[-1]) if numbers and float(numbers[-1]) > 0 else None
