"""Rows whose logits were not all finite: how many a run has, and when they are too many to go on.

They stay in n and never vote, so they make no certificate false. Yet a graph that gives many of them is broken, and a
run full of abstentions would look like a weak model.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from purecert.engine.errors import CheckError
from purecert.engine.records.lines import INVALID, Line, draws_of
from purecert.engine.records.run_record import RunRecord

ROWS_PER_INVALID = 1000  # of a run's rows at most one in so many may be invalid


@dataclass(frozen=True, kw_only=True, slots=True)
class InvalidRows:
    """How many of a run's rows were invalid so far."""

    invalid: int
    rows: int

    def __add__(self, other: "InvalidRows") -> "InvalidRows":
        """Return the rows of both."""
        return InvalidRows(invalid=self.invalid + other.invalid, rows=self.rows + other.rows)

    def problem(self, *, of: int | None = None) -> str | None:
        """Return what is wrong if too many of ``of`` rows (None: of those so far) are invalid, else None.

        A single one never is: in a small run it may be chance. All of them always are.
        """
        whole = self.rows if of is None else max(of, self.rows)
        is_chance = self.invalid == 1 and whole > 1
        if self.invalid * ROWS_PER_INVALID <= whole or is_chance:
            return None
        return (
            f"{self.invalid} of {self.rows} rows have logits that are not finite, where at most "
            f"{1 / ROWS_PER_INVALID:.1%} of a run's may"
        )


def invalid_of(lines: Iterable[Line]) -> InvalidRows:
    """Return the invalid rows of ``lines``."""
    held = list(lines)
    invalid = sum(phase.get(INVALID, 0) for line in held for phase in line.counts)
    return InvalidRows(invalid=invalid, rows=sum(draws_of(line) for line in held))


def check_invalid(found: InvalidRows, record: RunRecord, images: int) -> None:
    """End a run of ``record``, of which ``images`` are finished, whose rows are invalid too often.

    While it goes on that is judged against all rows that it can draw, so that chance in the first images ends nothing;
    at the end, against those that it drew.

    Raises:
        CheckError: More than one in ``ROWS_PER_INVALID`` of the run's rows are invalid.
    """
    is_whole = images >= record.data.images
    problem = found.problem(of=None if is_whole else record.spec.max_rows * record.data.images)
    if problem is not None:
        raise CheckError(
            f"{problem}; the run ends here, and its {images} finished images stay: export the plan again in fp32, or "
            "mend the model"
        )
