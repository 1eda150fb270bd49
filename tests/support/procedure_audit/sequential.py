"""Images and faults of certificates that stop early."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from purecert.engine.noise.contract import ESTIMATE, SELECT
from purecert.engine.procedures.certify import certificate
from purecert.engine.procedures.drawing import Counts, Draw, Procedure
from purecert.engine.procedures.outcomes import Outcome
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.procedures.stopping import count_rule
from purecert.engine.statistics.anytime import Thresholds
from purecert.engine.statistics.bounds import clopper_pearson_lower
from support.procedure_audit.cells import Cell
from support.procedure_audit.truth import probability_below

_RADII = (0.0, 0.25, 0.5, 0.75)
_HALF = (0.5, 0.5, 0.0)


def certifying_spec(rule: str, alpha: float, n: int) -> SmoothingSpec:
    """Return a sampling plan of ``rule``, with half of alpha for the last look."""
    stop = (
        StopSpec(rule="radii", radii=_RADII, alpha_final=alpha / 2)
        if rule == "radii"
        else StopSpec(rule="tolerance", tolerance=0.1, alpha_final=alpha / 2)
    )
    return SmoothingSpec(mode="certify", sigma=0.5, n_estimate=n, alpha=alpha, stop=stop)


def sequential_cells(spec: SmoothingSpec) -> list[Cell]:
    """Return images at one half, a hair under each listed radius, and a hair under a claim of the last look."""
    tops = [probability_below(radius, spec.sigma) for radius in _RADII[1:]]
    last = math.nextafter(count_rule(spec, 0.0).p_lower(round(0.9 * spec.n_estimate), spec.n_estimate), 0)
    named = {f"under radius {radius}": (p, 1 - p, 0.0) for radius, p in zip(_RADII[1:], tops, strict=True)}
    named |= {"one half": _HALF, "one half, 20 % invalid": (0.5, 0.3, 0.2), "under the last claim": (last, 1 - last, 0)}
    return [Cell(name=name, spec=spec, probabilities=p) for name, p in named.items()]


def answering_cells(alpha: float, n: int) -> list[Cell]:
    """Return images without a likeliest class, or one that leads by a hair, for predictions that stop early."""
    spec = SmoothingSpec(mode="predict", sigma=0.5, n_estimate=n, alpha=alpha, stop=StopSpec(rule="answer"))
    named = {
        "two equal classes": _HALF,
        "three equal classes": (1 / 3, 1 / 3, 1 / 3, 0.0),
        "two equal of 60 %": (0.3, 0.3, 0.0, 0.4),
        "ten equal classes": (*[0.1] * 10, 0.0),
    }
    return [Cell(name=name, spec=spec, probabilities=p) for name, p in named.items()]


def reuse_selection(spec: SmoothingSpec, tv: float) -> Procedure:
    """Let the draws that picked the class speak for it as well."""
    selected = yield Draw(SELECT, spec.n_select)
    top, rule, counts = int(np.argmax(selected[:-1])), count_rule(spec, tv), selected
    while rule.remaining(int(counts[top]), int(counts.sum())) and counts.sum() < spec.n_estimate:
        counts = counts + (yield Draw(ESTIMATE, min(5, spec.n_estimate - int(counts.sum()))))
    return certificate(spec, tv, top, counts)


def look_at_an_exact_bound(spec: SmoothingSpec, tv: float) -> Procedure:
    """Look ten times at a bound for one look, and stop where it proves more than one half."""
    fixed = replace(spec, stop=None)
    selected = yield Draw(SELECT, spec.n_select)
    top, counts = int(np.argmax(selected[:-1])), np.zeros_like(selected)
    for _ in range(10):
        counts = counts + (yield Draw(ESTIMATE, spec.n_estimate // 10))
        if float(clopper_pearson_lower(int(counts[top]), int(counts.sum()), spec.alpha)) > 0.5:
            break
    return certificate(fixed, tv, top, counts)


def draws_of(procedure: Procedure, path: Counts) -> tuple[int, Outcome]:
    """Return where ``procedure`` stops on one image's draws (1: the class), and its outcome; class 0 is selected."""
    ask, drawn = next(procedure), 0
    while True:
        ones = int(path[drawn : drawn + ask.count].sum())
        counts = [ones, ask.count - ones, 0] if ask.phase == ESTIMATE else [ask.count, 0, 0]
        drawn += ask.count * (ask.phase == ESTIMATE)
        try:
            ask = procedure.send(np.array(counts))
        except StopIteration as end:
            return drawn, end.value


def skip_the_threshold(threshold: float, alpha: float, batch: int) -> Callable[[SmoothingSpec, float], Procedure]:
    """Return a rule that stops where a draw lands on the boundary, and so misses it where a batch jumps over it."""

    def steps(spec: SmoothingSpec, tv: float) -> Procedure:
        yield Draw(SELECT, spec.n_select)
        counts, thresholds = np.zeros(3, np.int64), Thresholds(threshold, alpha)
        while counts.sum() < spec.n_estimate:
            counts = counts + (yield Draw(ESTIMATE, min(batch, spec.n_estimate - int(counts.sum()))))
            k, n = int(counts[0]), int(counts.sum())
            if k and thresholds.shortfall(k, n) <= 0 < thresholds.shortfall(k - 1, n):
                break
        return certificate(spec, tv, 0, counts)

    return steps


def tie_looks_to_batches(batch: int) -> Callable[[SmoothingSpec, float], Procedure]:
    """Return a procedure that looks wherever a batch ends."""

    def steps(spec: SmoothingSpec, tv: float) -> Procedure:
        yield Draw(SELECT, spec.n_select)
        counts, rule = np.zeros(3, np.int64), count_rule(spec, tv)
        while counts.sum() < spec.n_estimate:
            counts = counts + (yield Draw(ESTIMATE, min(batch, spec.n_estimate - int(counts.sum()))))
            if rule.remaining(int(counts[0]), int(counts.sum())) == 0:
                break
        return certificate(spec, tv, 0, counts)

    return steps
