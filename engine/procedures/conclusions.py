"""What counts amount to, without the draws: the outcome of a finished image, recomputed from its line."""

from collections.abc import Sequence

from purecert.engine.errors import InputError
from purecert.engine.procedures.answering import AnswerRule
from purecert.engine.procedures.certify import certificate
from purecert.engine.procedures.drawing import Counts, top_class
from purecert.engine.procedures.outcomes import Abstention, Outcome
from purecert.engine.procedures.predict import early_prediction, prediction
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.procedures.stopping import stop_rule


def conclude(spec: SmoothingSpec, tv: float, phases: Sequence[Counts], label: int | None) -> Outcome:
    """Return the outcome of a procedure of ``spec`` that ended with these counts.

    Args:
        spec: Sampling plan.
        tv: Total variation of one draw's noise from the ideal Gaussian.
        phases: Counts of each phase that was drawn, in order.
        label: The data's, where the spec takes the class from there.

    Raises:
        InputError: No procedure of ``spec`` ends with these counts.
    """
    if spec.mode == "predict" and spec.stop is None:
        _check_draws(phases, [spec.n_estimate])
        return prediction(spec, tv, phases[0])
    if label is not None and spec.against_label and phases and not 0 <= label < len(phases[0]) - 1:
        raise InputError(f"expected a label below {len(phases[0]) - 1}, the number of classes, found {label}")
    top = top_class(phases[0]) if spec.selects and phases else label
    if top is None and spec.stop is not None:
        _check_draws(phases, [spec.n_select])
        return Abstention()
    selection = [spec.n_select] if spec.selects else []
    estimation = spec.n_estimate if spec.stop is None else _draws_at_stop(spec, tv, phases, top)
    _check_draws(phases, [*selection, estimation])
    if spec.mode == "predict":
        return early_prediction(spec, tv, top, phases[-1])
    return certificate(spec, tv, top, phases[-1])


def _draws_at_stop(spec: SmoothingSpec, tv: float, phases: Sequence[Counts], top: int | None) -> int:
    """Return how many draws the last phase has, if its rule stops there, else how many it should have."""
    counts = phases[-1] if len(phases) == 1 + spec.selects else None
    if counts is None or top is None:
        return spec.n_estimate
    n = int(counts.sum())
    if spec.mode == "predict":
        remaining = AnswerRule(spec, tv, top).remaining(counts)
    else:
        remaining = stop_rule(spec, tv).remaining(int(counts[top]), n)
    is_look = 1 <= n <= spec.n_estimate and n % spec.step == 0
    return n if is_look and remaining == 0 else spec.n_estimate


def _check_draws(phases: Sequence[Counts], wanted: Sequence[int]) -> None:
    found = [int(counts.sum()) for counts in phases]
    if found != list(wanted):
        raise InputError(f"expected {tuple(wanted)} draws per phase, found {tuple(found)}")
