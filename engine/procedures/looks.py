"""When to look at a sequence of draws again.

No draw should be asked for behind the first one at which a rule would have stopped, had it looked at every draw. A
known number of draws cannot settle anything (``Thresholds.least_draws``): a look waits for these. Where that would mean
looking after every few draws, it waits for a share of the draws so far, and how many this may waste is known too.
"""

import math
from dataclasses import dataclass

# A look waits for this share of the draws so far, or for so many: no more than these are drawn in vain at a stop.
_GROWTH = 0.04
_FEW = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """The next draws of an image before it is looked at again."""

    count: int
    least: int  # the rule cannot stop before so many of them, whatever they show


def next_ask(least: int, n: int, n_max: int) -> Ask:
    """Return what to draw after ``n`` draws, of ``n_max`` in all, where the rule cannot stop before ``least`` more."""
    least = min(least, n_max - n)
    return Ask(count=min(max(least, math.floor(_GROWTH * n), _FEW), n_max - n), least=least)
