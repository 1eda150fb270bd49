"""How a procedure asks for draws: it yields requests, receives counts, and fixes by itself when to look again.

A procedure never sees an image, a batch or a device, so what it decides depends on its own counts alone. Counts have
one entry per class and a last one for rows whose logits were not all finite: those stay in n and never vote.

No draw should be asked for after the first one at which a rule would have stopped, had it looked at every draw. A known
number of draws cannot settle anything (``Thresholds.least_draws``): a look waits for these. Where that would mean
looking after every few draws, it waits for a share of the draws so far, and how many draws this may waste is known too.
"""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import BackendError
from purecert.engine.noise.contract import ESTIMATE
from purecert.engine.procedures.outcomes import Outcome

# A look waits for this share of the draws so far, or for so many: at most these are drawn too many at a stop.
_GROWTH = 0.04
_FEW = 4

Counts = NDArray[np.int64]


@dataclass(slots=True)  # one a look: a frozen one would take twice as long to make
class Draw:
    """A request for the next ``count`` draws of ``phase``."""

    phase: int
    count: int
    spare: int = 0  # of them, draws beyond those without which nothing can be settled, whatever they show


Procedure = Generator[Draw, Counts, Outcome]
Drawing = Generator[Draw, Counts, Counts]


def until_settled(
    n_max: int, first: int, remaining: Callable[[Counts, int], int], step: int = 1, *, is_exact: bool = False
) -> Drawing:
    """Draw the second phase until nothing remains to be drawn, or ``n_max`` draws are; return their counts.

    Args:
        n_max: Draws, at the most.
        first: How many draws it takes at the least until the rule can stop.
        remaining: The same after these counts, and as many draws in all: 0 where the rule stops.
        step: Looks fall on multiples of so many draws; ``n_max`` is one.
        is_exact: The rule looks after no other number of draws than those that ``remaining`` says, and after the last.

    Raises:
        BackendError: The counts are of other draws than were asked for.
    """
    request = next_draw(first, 0, n_max, step, is_exact=is_exact)
    counts, n = (yield request), request.count
    while (least := remaining(counts, n)) and n < n_max:
        request = next_draw(least, n, n_max, step, is_exact=is_exact)
        counts = counts + (yield request)
        n += request.count
    if (counted := int(counts.sum())) != n:  # once, since a sum takes longer than all else of a look
        raise BackendError(f"expected counts of the {n} draws that were asked for, got counts of {counted}")
    return counts


def next_draw(least: int, n: int, n_max: int, step: int = 1, *, is_exact: bool = False) -> Draw:
    """Return what to draw after ``n`` draws, of ``n_max`` in all, where the rule cannot stop before ``least`` more."""
    least = min(least, n_max - n)
    if is_exact:
        return Draw(ESTIMATE, least)  # which ends on a multiple of the step: such a rule looks at no others
    wanted = max(least, math.floor(_GROWTH * n), _FEW)
    count = min(-(-(n + wanted) // step) * step, n_max) - n
    return Draw(ESTIMATE, count, spare=count - least)


def top_class(selected: Counts) -> int | None:
    """Return the class that leads, the first of several; None where no draw was valid."""
    top = int(np.argmax(selected[:-1]))
    return top if selected[top] else None
