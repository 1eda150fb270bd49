"""The exact probability of a false claim where the draws of a batch are of unlike laws, by dynamic programming.

A state is how many of n draws showed the class; whatever comes next depends on it alone. So the probabilities of all
states are carried from look to look, through the law of the draws between, and every claim that is false is summed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from purecert.engine.procedures.certify import certificate
from purecert.engine.procedures.drawing import next_draw
from purecert.engine.procedures.outcomes import Certificate, Prediction
from purecert.engine.procedures.predict import prediction
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.procedures.stopping import count_rule

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a procedure does after k successes of n draws: ends with a claim, or draws more."""

    more: int  # draws until the next look; 0 where it ends here
    p_lower: float  # claimed of the class; 0 where nothing is
    radius: float


class Looks:
    """Every look that a certificate of one spec can come to, with looks at multiples of ``step``."""

    def __init__(self, spec: SmoothingSpec, step: int) -> None:
        self._spec, self._step = spec, step
        self._known: dict[tuple[int, int], Look] = {}

    def at(self, n: int, k: int) -> Look:
        """Return what happens after ``k`` successes of ``n`` draws."""
        if (n, k) not in self._known:
            self._known[n, k] = self._look(n, k)
        return self._known[n, k]

    def _look(self, n: int, k: int) -> Look:
        spec = self._spec
        remaining = count_rule(spec, 0.0).remaining(k, n)
        if n < spec.n_estimate and remaining:
            more = next_draw(remaining, n, spec.n_estimate, self._step).count
            return Look(more=more, p_lower=0.0, radius=0.0)
        outcome = certificate(spec, 0.0, 0, np.array([k, n - k, 0]))
        if not isinstance(outcome, Certificate):
            return Look(more=0, p_lower=0.0, radius=0.0)
        return Look(more=0, p_lower=outcome.p_lower, radius=outcome.radius)


def false_certificates(spec: SmoothingSpec, looks: Looks, places: Floats) -> float:
    """Return the probability that a certificate claims more than the mixture over ``places`` [batch] has."""
    p = float(np.mean(places))
    radius = spec.sigma * float(special.ndtri(p)) if p > 0.5 else 0.0
    states: dict[int, Floats] = {0: np.ones(1)}
    wrong = 0.0
    for n in range(spec.n_estimate + 1):
        for k, probability in enumerate(states.pop(n, ())):
            if not probability:
                continue
            look = looks.at(n, k)
            if not look.more:
                wrong += probability * (look.radius > radius or look.p_lower > p)
                continue
            law = _law(places, n, look.more)
            reached = states.setdefault(n + look.more, np.zeros(n + look.more + 1))
            reached[k : k + len(law)] += probability * law
    return wrong


def _law(places: Floats, first: int, count: int) -> Floats:
    """Return the probabilities of 0 to ``count`` successes in draws ``first`` and on."""
    law = np.ones(1)
    for number in range(first, first + count):
        p = places[number % len(places)]
        law = np.append(law * (1 - p), 0) + np.append(0, law * p)
    return law


def false_predictions(spec: SmoothingSpec, places: Sequence[tuple[float, float]]) -> float:
    """Return the probability that class 0 is predicted, where a place shows class 0 and class 1 with these.

    Class 1 is to be at least as likely in the mixture; what is neither is invalid.
    """
    n = spec.n_estimate
    states = np.zeros((n + 1, n + 1))
    states[0, 0] = 1
    for number in range(n):
        wrong, right = places[number % len(places)]
        moved = states * (1 - wrong - right)
        moved[1:] += wrong * states[:-1]
        moved[:, 1:] += right * states[:, :-1]
        states = moved
    return float(sum(states[a, b] for a in range(n + 1) for b in range(n + 1 - a) if _predicts(spec, a, b)))


def _predicts(spec: SmoothingSpec, wrong: int, right: int) -> bool:
    if wrong <= right:
        return False
    outcome = prediction(spec, 0.0, np.array([wrong, right, spec.n_estimate - wrong - right]))
    return isinstance(outcome, Prediction) and outcome.predicted == 0


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
