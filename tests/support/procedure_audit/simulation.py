"""Procedures driven by simulated counts, and how many of their claims are false."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from purecert.engine.procedures.certify import certify
from purecert.engine.procedures.drawing import Counts, Draw, Procedure
from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome, Prediction
from purecert.engine.procedures.predict import predict
from purecert.engine.procedures.spec import SmoothingSpec
from support.procedure_audit.cells import Cell
from support.procedure_audit.truth import false_claim_probability, true_radius

Steps = Callable[[SmoothingSpec, float], Procedure]

_BY_CHANCE = 1e-6  # a count of false claims is beyond its limit this often if all is right


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """How one image's claims compare with the truth."""

    name: str
    n: int
    alpha: float
    runs: int
    claims: int  # runs that did not abstain
    false_claims: int
    expected: float | None  # false claims expected of Cohen's CERTIFY, given the classes that were selected

    @property
    def allowed(self) -> int:
        """Return the mean at rate alpha plus four standard deviations."""
        return math.floor(self.runs * self.alpha + 4 * math.sqrt(self.runs * self.alpha * (1 - self.alpha)))

    @property
    def is_within_chance(self) -> bool:
        """Return whether false claims at rate alpha could have been as many, but for one chance in a million."""
        return self.false_claims <= stats.binom.isf(_BY_CHANCE, self.runs, self.alpha)

    @property
    def deviations(self) -> float:
        """Return how many standard deviations the false claims lie above what alpha allows on average."""
        return (self.false_claims - self.alpha * self.runs) / math.sqrt(self.runs * self.alpha * (1 - self.alpha))

    @property
    def matches_expectation(self) -> bool:
        """Return whether false claims are neither more nor fewer than chance allows, where the exact rate is known.

        Fewer would mean that the images do not test what they are for.
        """
        if self.expected is None:
            return True
        tails = (
            stats.poisson.cdf(self.false_claims, self.expected),
            stats.poisson.sf(self.false_claims - 1, self.expected),
        )
        return min(tails) > _BY_CHANCE


def together(name: str, tallies: Sequence[Tally]) -> Tally:
    """Return the tally of many images at one alpha; its n is the largest."""
    known = [tally.expected for tally in tallies if tally.expected is not None]
    return Tally(
        name=name,
        n=max(tally.n for tally in tallies),
        alpha=tallies[0].alpha,
        runs=sum(tally.runs for tally in tallies),
        claims=sum(tally.claims for tally in tallies),
        false_claims=sum(tally.false_claims for tally in tallies),
        expected=sum(known) if len(known) == len(tallies) else None,
    )


def _by_fixed_n(spec: SmoothingSpec, p: float) -> float:
    return false_claim_probability(p, spec.n_estimate, spec.alpha)


def tally_certificates(
    cell: Cell,
    runs: int,
    generator: np.random.Generator,
    steps: Steps = certify,
    chance: Callable[[SmoothingSpec, float], float] = _by_fixed_n,
) -> Tally:
    """Return how often ``steps`` certify more of ``cell`` than is true, in ``runs`` runs.

    ``chance`` of a false claim for a class of some probability gives what is expected.
    """
    outcomes, selected = run_in_step(cell, runs, generator, steps)
    radii = {p: true_radius(p, cell.spec.sigma) for p in set(cell.probabilities)}
    truths = [radii[p] for p in cell.probabilities]
    false = sum(isinstance(o, Certificate) and o.radius > truths[o.predicted] for o in outcomes)
    chances = np.array([chance(cell.spec, p) for p in cell.probabilities[:-1]])
    return _tally(cell, outcomes, false, float(chances[np.argmax(selected[:, :-1], axis=1)].sum()))


def tally_predictions(cell: Cell, runs: int, generator: np.random.Generator, steps: Steps = predict) -> Tally:
    """Return how often ``steps`` answer for ``cell`` with a class that is not likelier than any other and invalid."""
    outcomes, _ = run_in_step(cell, runs, generator, steps)
    ranked = sorted(cell.probabilities, reverse=True)
    right = cell.probabilities.index(ranked[0]) if ranked[0] > ranked[1] else None
    false = sum(isinstance(o, Prediction) and o.predicted != right for o in outcomes)
    return _tally(cell, outcomes, false, None)


def run_in_step(
    cell: Cell, runs: int, generator: np.random.Generator, steps: Steps
) -> tuple[Sequence[Outcome], Counts]:
    """Return what ``runs`` procedures conclude of ``cell``, and the answers to their first requests.

    All of them are asked in turn and answered together: every request is one draw from the exact multinomial.
    """
    procedures = [steps(cell.spec, 0.0) for _ in range(runs)]
    outcomes: dict[int, Outcome] = {}
    answers = first = _answers(cell, [next(procedure) for procedure in procedures], generator)
    pending: Iterable[int] = range(runs)
    while pending:
        requests: dict[int, Draw] = {}
        for index, counts in zip(pending, answers, strict=True):
            try:
                requests[index] = procedures[index].send(counts)
            except StopIteration as end:
                outcomes[index] = end.value
        pending = list(requests)
        answers = _answers(cell, list(requests.values()), generator)
    return [outcomes[index] for index in range(runs)], first


def _answers(cell: Cell, requests: Sequence[Draw], generator: np.random.Generator) -> Counts:
    draws = np.array([request.count for request in requests], np.int64)
    return generator.multinomial(draws, cell.probabilities)


def _tally(cell: Cell, outcomes: Sequence[Outcome], false: int, expected: float | None) -> Tally:
    claims = sum(not isinstance(outcome, Abstention) for outcome in outcomes)
    spec = cell.spec
    return Tally(
        name=cell.name,
        n=spec.n_estimate,
        alpha=spec.alpha,
        runs=len(outcomes),
        claims=claims,
        false_claims=false,
        expected=expected,
    )
