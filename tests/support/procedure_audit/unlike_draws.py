"""Laws of a batch's places, and how often a procedure claims what their mixture does not hold."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from purecert.engine.procedures.outcomes import Certificate, Outcome, Prediction
from support.procedure_audit.driven import Paths, Places

Floats = NDArray[np.float64]
_ROUNDING = 1e-12  # of a mixture of doubles


def false_claims(paths: Paths, sigma: float, places: Places) -> float:
    """Return the probability of a claim that does not hold of the even mixture over ``places``."""
    mixture = np.mean(places, axis=0)[:-1]
    return sum(likely for likely, outcome in paths.probabilities(places) if is_false(outcome, sigma, mixture))


def is_false(outcome: Outcome, sigma: float, mixture: Floats) -> bool:
    """Return whether an outcome claims more than holds of class probabilities [classes]; a tie has no right answer."""
    if isinstance(outcome, Prediction):
        rivals = np.delete(mixture, outcome.predicted)
        return bool(rivals.max() >= mixture[outcome.predicted] - _ROUNDING)
    if isinstance(outcome, Certificate):
        p = float(mixture[outcome.predicted])
        return outcome.p_lower > p or outcome.radius > (sigma * float(special.ndtri(p)) if p > 0.5 else 0.0)
    return False


def laws_of_mean(p: float, batch: int, random: np.random.Generator) -> list[Floats]:
    """Return probabilities of the places whose mean is at most ``p``: alike, as unlike as can be, and in between."""
    total = p * batch
    whole = int(total)
    sure = np.concatenate([np.ones(whole), [total - whole], np.zeros(batch - whole - 1)]) if whole < batch else None
    laws = [np.full(batch, p)]
    if sure is not None:
        laws += [sure, sure[::-1].copy(), random.permutation(sure), 0.5 * sure + 0.5 * p]
    for _ in range(3):
        drawn = random.random(batch) ** 2
        laws.append(np.minimum(drawn * p / drawn.mean(), 1.0))
    # The mean of doubles may round to a bit above: a claim exactly there would look false.
    return [law * (1 - 1e-13) for law in laws]


def shared_out(first: Floats, classes: int, random: np.random.Generator) -> Places:
    """Return places where class 0 has the probabilities ``first`` [batch] and the others share the rest unevenly."""
    rest = random.random((len(first), classes - 1)) ** 3 + 1e-9
    rest *= ((1 - first) / rest.sum(axis=1))[:, None]
    return tuple((float(one), *map(float, others), 0.0) for one, others in zip(first, rest, strict=True))


def tied(classes: int, batch: int) -> Sequence[Places]:
    """Return places, of two or more, in whose mixture classes 0 and 1 are equally likely and no other is likelier."""
    no = (0.0,) * (classes - 2)
    half, odd = batch // 2, batch % 2
    last = min(1.0, 0.2 * (batch - 1))  # where it cannot hold as much as all others, class 0 is let down to it below
    ties: list[Sequence[tuple[float, ...]]] = [
        [(0.5, 0.5, *no, 0.0)] * batch,
        [(0.1, 0.1, *no, 0.8)] * batch,
        [(1.0, 0.0, *no, 0.0)] * half + [(0.5, 0.5, *no, 0.0)] * odd + [(0.0, 1.0, *no, 0.0)] * half,
        [(0.6, 0.0, *no, 0.4)] * half + [(0.3, 0.3, *no, 0.4)] * odd + [(0.0, 0.6, *no, 0.4)] * half,
        [(0.2, 0.0, *no, 0.8)] * (batch - 1) + [(0.0, last, *no, 1 - last)],
    ]
    if classes == 3:
        ties.append([(1 / 3, 1 / 3, 1 / 3, 0.0)] * batch)
        ties.append([(0.4, 0.4, 0.2, 0.0)] * batch)
        if batch == 3:
            ties.append([(1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0)])
    return [_levelled(places) for places in ties]


def _levelled(places: Sequence[tuple[float, ...]]) -> Places:
    ahead, behind = np.mean(places, axis=0)[:2]
    factor = min(1.0, behind / ahead)
    return tuple((one * factor, *others, last + one * (1 - factor)) for one, *others, last in places)
