"""How often the draws of a phase that may stop early can have been looked at, where only their counts are known.

What a look shows decides how many draws the next one waits for, so the counts at the end leave a range. Where every
draw showed the same, all of it is known.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from purecert.engine.procedures.answering import AnswerRule
from purecert.engine.procedures.drawing import next_draw, until_settled
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.procedures.stopping import count_rule

# The draws of the second phase as its rule sees them, on the last axis: of the class in question; of its rivals (of a
# prediction: the strongest rival's); all others, which a prediction's rule does not ask about.
Tally = NDArray[np.int64]


def draws_left(spec: SmoothingSpec, tv: float, tallies: Tally) -> NDArray[np.int64]:
    """Return how many draws it takes at the least until the rule of ``spec`` can stop: 0 where it stops.

    The rule has no stopping tables (``tables/paths.py``).
    """
    if spec.mode == "certify":
        return count_rule(spec, tv).all_remaining(tallies[..., 0], tallies.sum(axis=-1))
    return AnswerRule(spec, tv, 0).all_remaining(tallies)


def looks_problem(spec: SmoothingSpec, tv: float, tally: Tally, looks: int) -> str | None:
    """Return why draws that may stop early cannot have ended in ``tally`` after ``looks`` looks; None where they can.

    Args:
        spec: Sampling plan.
        tv: Total variation of one draw's noise from the ideal Gaussian.
        tally: Counts at the end, as many as the rule may stop at.
        looks: How often they were looked at.
    """
    n = int(tally.sum())
    shown = np.flatnonzero(tally)
    if len(shown) == 1:
        draws, exactly = _end_of_one_answer(spec, tv, int(shown[0]))
        expected, is_possible = f"{draws} draws and {exactly} looks, since all agree", (n, looks) == (draws, exactly)
    else:
        first, most = _first_draws(spec, tv), _most_looks(spec, tv, n)
        fewest = 1 if n == first else 2
        expected, is_possible = f"{fewest} to {most} looks at {n} draws", fewest <= looks <= most
    return None if is_possible else f"expected {expected}, found {n} draws and {looks} looks"


@lru_cache(maxsize=64)
def _first_draws(spec: SmoothingSpec, tv: float) -> int:
    """Return how many draws the first look waits for."""
    return next_draw(int(draws_left(spec, tv, np.zeros(3, np.int64))), 0, spec.n_estimate, spec.step).count


def _most_looks(spec: SmoothingSpec, tv: float, n: int) -> int:
    """Return the most looks that end at ``n`` draws: each as early as any look can be."""
    earliest = _earliest_looks(spec, tv)
    return int(np.searchsorted(earliest, n, side="left" if n == spec.n_estimate else "right")) + (n == spec.n_estimate)


@lru_cache(maxsize=64)
def _earliest_looks(spec: SmoothingSpec, tv: float) -> NDArray[np.int64]:
    """Return the draw counts of looks of which each comes as soon as it can, ever more until all are drawn."""
    looks = [_first_draws(spec, tv)]
    while looks[-1] < spec.n_estimate:
        looks.append(looks[-1] + next_draw(1, looks[-1], spec.n_estimate, spec.step).count)
    return np.array(looks, np.int64)


@lru_cache(maxsize=64)
def _end_of_one_answer(spec: SmoothingSpec, tv: float, shown: int) -> tuple[int, int]:
    """Return the draws and the looks of a phase whose draws all show entry ``shown`` of a tally."""
    drawing = until_settled(
        spec.n_estimate,
        int(draws_left(spec, tv, np.zeros(3, np.int64))),
        lambda counts, _: int(draws_left(spec, tv, counts)),
        spec.step,
    )
    one = np.eye(3, dtype=np.int64)[shown]
    ask, looks = next(drawing), 0
    while True:
        looks += 1
        try:
            ask = drawing.send(one * ask.count)
        except StopIteration as end:
            return int(end.value.sum()), looks
