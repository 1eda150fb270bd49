"""Certificates that are looked at after every draw: every state's end as the engine has it, simulated and summed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from purecert.engine.procedures.answering import AnswerRule
from purecert.engine.procedures.certify import certificate
from purecert.engine.procedures.outcomes import Certificate, Prediction
from purecert.engine.procedures.predict import early_prediction
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.procedures.stopping import count_rule
from purecert.engine.statistics.anytime import Thresholds
from support.procedure_audit.cells import Cell
from support.procedure_audit.simulation import Tally
from support.procedure_audit.truth import true_radius

_CHUNK = 50_000  # runs at a time: their counts stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a rule stops, had it looked at every draw, and what it then claims; both [n + 1, successes + 1]."""

    stops: NDArray[np.bool_]
    radius: NDArray[np.float64]


def ends(spec: SmoothingSpec) -> Ends:
    """Return every state that draws can reach, ended as the engine's rule and certificate say."""
    n_max = spec.n_estimate
    stops, radius = np.zeros((n_max + 1, n_max + 1), np.bool_), np.zeros((n_max + 1, n_max + 1))
    rule, alive = count_rule(spec, 0.0), [0]
    for n in range(1, n_max + 1):
        reached = sorted({*alive, *(k + 1 for k in alive)})
        alive = []
        for k in reached:
            if n < n_max and rule.remaining(k, n):
                alive.append(k)
                continue
            outcome = certificate(spec, 0.0, 0, np.array([k, n - k, 0]))
            stops[n, k] = True
            radius[n, k] = outcome.radius if isinstance(outcome, Certificate) else 0.0
    return Ends(stops, radius)


def false_claims(found: Ends, probability: float, truth: float) -> float:
    """Return the exact chance of a radius above ``truth`` for a class of ``probability``."""
    alive, false = np.array([1.0]), 0.0
    for n in range(1, len(found.stops)):
        moved = np.append(alive * (1 - probability), 0.0)
        moved[1:] += alive * probability
        is_end = found.stops[n, : n + 1]
        false += float(moved[is_end & (found.radius[n, : n + 1] > truth)].sum())
        alive = np.where(is_end, 0.0, moved)
    return false


def tally_every_draw(cell: Cell, found: Ends, runs: int, generator: np.random.Generator) -> Tally:
    """Return how often certificates of ``cell`` claim too much, in ``runs`` simulated runs, and the exact rate."""
    selected = np.argmax(generator.multinomial(cell.spec.n_select, cell.probabilities, runs)[:, :-1], axis=1)
    claims = false = 0
    expected = 0.0
    for top, probability in enumerate(cell.probabilities[:-1]):
        truth, count = true_radius(probability, cell.spec.sigma), int(np.sum(selected == top))
        if count:
            radii = _radii(found, probability, count, generator)
            claims, false = claims + int(np.sum(radii > 0)), false + int(np.sum(radii > truth))
            expected += count * false_claims(found, probability, truth)
    spec = cell.spec
    return Tally(
        name=cell.name,
        n=spec.n_estimate,
        alpha=spec.alpha,
        runs=runs,
        claims=claims,
        false_claims=false,
        expected=expected,
    )


def _radii(found: Ends, probability: float, runs: int, generator: np.random.Generator) -> NDArray[np.float64]:
    radii = [_chunk(found, probability, min(_CHUNK, runs - begin), generator) for begin in range(0, runs, _CHUNK)]
    return np.concatenate(radii)


def _chunk(found: Ends, probability: float, runs: int, generator: np.random.Generator) -> NDArray[np.float64]:
    k, claimed = np.zeros(runs, np.int64), []
    for n in range(1, len(found.stops)):
        k += generator.random(len(k)) < probability
        is_end = found.stops[n, k]
        claimed.append(found.radius[n, k[is_end]])
        k = k[~is_end]
    return np.concatenate(claimed)


def tally_early_every_draw(cell: Cell, runs: int, generator: np.random.Generator) -> Tally:
    """Return how often an early prediction of ``cell`` that is looked at after every draw is wrong."""
    spec = cell.spec
    assert spec.stop is not None
    pairs = np.arange(spec.n_estimate + 1)
    ahead, behind = (_least(alpha, pairs) for alpha in (spec.alpha, spec.stop.alpha_refute))
    classes = len(cell.probabilities) - 1
    ranked = sorted(cell.probabilities[:-1], reverse=True)  # invalid draws are no class
    right = cell.probabilities.index(ranked[0]) if ranked[0] > ranked[1] else -1
    candidate = np.argmax(generator.multinomial(spec.n_select, cell.probabilities, runs)[:, :-1], axis=1)
    counts, edges = np.zeros((runs, classes + 1), np.int64), np.cumsum(cell.probabilities)[:-1]
    claims = false = 0
    for _ in range(spec.n_estimate):
        each = np.arange(len(candidate))
        counts[each, np.searchsorted(edges, generator.random(len(each)), side="right")] += 1
        own, rivals = counts[each, candidate][:, None], counts[:, :-1]
        together = np.minimum(own + rivals, spec.n_estimate)  # the candidate beside itself is overwritten below
        leads = own >= ahead[together]
        leads[each, candidate] = True
        trails = rivals >= behind[together]
        trails[each, candidate] = False
        answered, given_up = leads.all(axis=1), trails.any(axis=1)
        claims, false = claims + int(answered.sum()), false + int((candidate[answered] != right).sum())
        kept = ~(answered | given_up)
        counts, candidate = counts[kept], candidate[kept]
    return Tally(
        name=cell.name,
        n=spec.n_estimate,
        alpha=spec.alpha,
        runs=runs,
        claims=claims,
        false_claims=false,
        expected=None,
    )


def answers_to_a_tie(spec: SmoothingSpec, counted: dict[tuple[int, int], float]) -> float:
    """Return the exact chance that an early prediction answers where two classes are equally likely: always wrongly.

    Args:
        spec: Sampling plan, with a look after every draw.
        counted: Draws of candidate and rival that the rule begins with -> their probability.
    """
    rule, answered = AnswerRule(spec, 0.0, 0), 0.0
    for _ in range(spec.n_estimate + 1):
        kept: dict[tuple[int, int], float] = {}
        for (own, rival), chance in counted.items():
            counts = np.array([own, rival, 0])
            if rule.remaining(counts) == 0:
                answered += chance * isinstance(early_prediction(spec, 0.0, 0, counts), Prediction)
            else:
                for state in ((own + 1, rival), (own, rival + 1)):
                    kept[state] = kept.get(state, 0.0) + chance / 2
        counted = kept
    return answered


def _least(alpha: float, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each number of draws of two classes from how many of the one it is shown to be ahead."""
    exceeds = Thresholds(0.5, alpha).shortfall(pairs[None, :], np.maximum(pairs, 1)[:, None]) <= 0
    is_count = pairs[None, :] <= pairs[:, None]
    return np.where((exceeds & is_count).any(axis=1), np.argmax(exceeds & is_count, axis=1), pairs + 1)
