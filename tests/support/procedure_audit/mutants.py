"""Procedures with one fault each, of the kinds that users and programs really make. The audit must catch every one."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from purecert.engine.noise.contract import ESTIMATE, SELECT
from purecert.engine.procedures.certify import certificate, certify
from purecert.engine.procedures.drawing import Draw, Procedure, top_class
from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome
from purecert.engine.procedures.predict import predict, prediction
from purecert.engine.procedures.spec import SmoothingSpec
from support.procedure_audit.cells import Cell, cell_under_claim
from support.procedure_audit.simulation import Steps, Tally, tally_certificates, tally_predictions

_LOOKS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    """A fault, and an image on which it shows."""

    fault: str
    steps: Steps
    control: Steps  # the procedure without the fault
    cell: Cell
    tally: Callable[[Cell, int, np.random.Generator, Steps], Tally]


def reuse_selection(spec: SmoothingSpec, tv: float) -> Procedure:
    """Count the draws that picked the class once more when its probability is bounded."""
    selected = yield Draw(SELECT, spec.n_select)
    fresh = yield Draw(ESTIMATE, spec.n_estimate - spec.n_select)
    return certificate(spec, tv, top_class(selected), selected + fresh)


def select_afterwards(spec: SmoothingSpec, tv: float) -> Procedure:
    """Certify whichever class leads among the draws of the estimate."""
    yield Draw(SELECT, spec.n_select)
    estimated = yield Draw(ESTIMATE, spec.n_estimate)
    return certificate(spec, tv, top_class(estimated), estimated)


def look_ten_times(spec: SmoothingSpec, tv: float) -> Procedure:
    """Look ten times at a bound that holds for one look, and stop when it certifies."""
    selected = yield Draw(SELECT, spec.n_select)
    estimated = np.zeros_like(selected)
    for _ in range(_LOOKS):
        estimated = estimated + (yield Draw(ESTIMATE, spec.n_estimate // _LOOKS))
        outcome = certificate(spec, tv, top_class(selected), estimated)
        if isinstance(outcome, Certificate):
            return outcome
    return Abstention()


def let_invalid_vote(spec: SmoothingSpec, tv: float) -> Procedure:
    """Count invalid rows for the class that was selected."""
    selected = yield Draw(SELECT, spec.n_select)
    estimated = yield Draw(ESTIMATE, spec.n_estimate)
    voted = estimated.copy()
    voted[np.argmax(selected[:-1])] += voted[-1]
    voted[-1] = 0
    return certificate(spec, tv, top_class(selected), voted)


def drop_invalid(spec: SmoothingSpec, tv: float) -> Procedure:
    """Take invalid rows out of n."""
    selected = yield Draw(SELECT, spec.n_select)
    estimated = yield Draw(ESTIMATE, spec.n_estimate)
    return certificate(spec, tv, top_class(selected), np.append(estimated[:-1], 0))


def double_alpha(spec: SmoothingSpec, tv: float) -> Procedure:
    """Certify at twice the alpha that was asked for."""
    return (yield from certify(replace(spec, alpha=2 * spec.alpha), tv))


def round_radius(spec: SmoothingSpec, tv: float) -> Procedure:
    """Print the radius to three significant digits, to the nearest: as the field's logs do."""
    outcome: Outcome = yield from certify(spec, tv)
    return replace(outcome, radius=float(f"{outcome.radius:.3}")) if isinstance(outcome, Certificate) else outcome


def halve_p_value(spec: SmoothingSpec, tv: float) -> Procedure:
    """Test one-sided whether the leading class leads."""
    return (yield from predict(replace(spec, alpha=2 * spec.alpha), tv))


def forget_invalid(spec: SmoothingSpec, tv: float) -> Procedure:
    """Predict from the valid rows alone."""
    counts = yield Draw(SELECT, spec.n_estimate)
    return prediction(spec, tv, np.append(counts[:-1], 0))


def mutants(alpha: float) -> list[Mutant]:
    """Return every fault, each with the image on which the procedure without it errs at a rate of at most ``alpha``."""
    spec = SmoothingSpec(mode="certify", sigma=1.0, n_select=1_000, n_estimate=1_000, alpha=alpha)
    half = Cell(name="one half, two classes", spec=spec, probabilities=(0.5, 0.5, 0.0))
    invalid = Cell(name="one half, 20 % invalid", spec=spec, probabilities=(0.5, 0.3, 0.2))
    claim = cell_under_claim(replace(spec, n_select=100), 0.9)
    # 1.2799 sigma lies just below 1.28, to which more than a tenth of all claims below it are rounded.
    near_print = Cell(
        name="radius 1.2799 sigma", spec=replace(spec, n_estimate=100_000), probabilities=(0.89970973, 0.10029027, 0.0)
    )
    tie = Cell(name="two equal classes", spec=replace(spec, mode="predict"), probabilities=(0.5, 0.5, 0.0))
    rival = Cell(name="a class as likely as invalid", spec=replace(spec, mode="predict"), probabilities=(0.4, 0.2, 0.4))
    certifying: list[tuple[str, Steps, Cell]] = [
        ("the draws of the selection are used again", reuse_selection, half),
        ("the class is selected afterwards", select_afterwards, half),
        ("ten looks at a bound for one", look_ten_times, half),
        ("invalid rows vote", let_invalid_vote, invalid),
        ("invalid rows leave n", drop_invalid, invalid),
        ("alpha is doubled", double_alpha, claim),
        ("radii are printed with {:.3}", round_radius, near_print),
    ]
    predicting: list[tuple[str, Steps, Cell]] = [
        ("the test is one-sided", halve_p_value, tie),
        ("invalid rows are no rival", forget_invalid, rival),
    ]
    return [
        Mutant(fault=fault, steps=steps, control=control, cell=cell, tally=tally)
        for faults, control, tally in (
            (certifying, certify, tally_certificates),
            (predicting, predict, tally_predictions),
        )
        for fault, steps, cell in faults
    ]
