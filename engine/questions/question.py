"""What may be asked of a finished run, and of which runs."""

from dataclasses import dataclass, fields, replace
from typing import Literal

from purecert.engine.errors import InputError
from purecert.engine.questions.costs import Costs
from purecert.engine.questions.thinning import MOST_DRAWS
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import RunRecord

Kind = Literal["certificates", "two-sided", "top-k", "costs"]

MOST_TOP_K = 100  # each is solved for in turn
# What a sampling plan may say. One that says more than this, in a field of a later version, is looked at otherwise.
_KNOWN_OF_PLAN = {"mode", "sigma", "n_select", "n_estimate", "alpha", "stop", "against_label", "step"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One question: a kind of certificate, at the run's alpha and draws or at others.

    Raises:
        InputError: ``top_k`` or ``costs`` is missing, or is of another kind of question.
    """

    kind: Kind
    alpha: float | None = None  # of one image; None: the run's
    n: int | None = None  # draws to keep, chosen at random; None: all of the run's
    top_k: int | None = None  # of kind "top-k": the class stays among so many
    costs: Costs | None = None  # of kind "costs"

    def __post_init__(self) -> None:
        _require((self.kind == "top-k") == (self.top_k is not None), "--top-k with a question of that kind", self.kind)
        _require((self.kind == "costs") == (self.costs is not None), "--costs with a question of that kind", self.kind)


def record_asked(run: Run, question: Question) -> RunRecord:
    """Return the record that the run would have at the question's alpha and draws.

    Raises:
        InputError: The run cannot answer the question: it stopped early, or predicts, or has no finished image; or the
            question is no question of this run.
    """
    record = run.record
    _check_run(run)
    alpha = record.spec.alpha if question.alpha is None else question.alpha
    n = record.spec.n_estimate if question.n is None else question.n
    _require(1 <= n <= record.spec.n_estimate, f"--ask-n: draws in [1, {record.spec.n_estimate}], the run's", n)
    if n < record.spec.n_estimate:
        _check_thinning(run)
    is_other = (alpha, n) != (record.spec.alpha, record.spec.n_estimate)
    _require(is_other or question.kind != "certificates", "another alpha or fewer draws", "the run's own")
    asked = replace(record, spec=replace(record.spec, alpha=alpha, n_estimate=n))
    if asked.placement_problem is not None:
        _refuse(
            run,
            f"at alpha {alpha} its rows' placement leaves nothing that is proved",
            "ask for an alpha of at most 0.25",
        )
    _check_classes(run, question)
    return asked


def _check_run(run: Run) -> None:
    record = run.record
    if record.spec.mode != "certify":
        _refuse(run, "it predicts, and its votes bound no probability of a class", "run engine-certify")
    if record.spec.stop is not None:
        _refuse(run, "its draws stopped early, which biases their counts", "run engine-certify --mode fixed")
    if record.spec.extension is not None:
        _refuse(run, "its alpha is split for draws that may be continued", "run engine-certify without --extend-to")
    for field in fields(record.spec):
        if field.name not in _KNOWN_OF_PLAN and getattr(record.spec, field.name) != field.default:
            _refuse(run, f"its sampling plan has {field.name}", "run engine-certify --mode fixed without that")
    if record.placement_problem is not None:
        _refuse(run, record.placement_problem, "run it again with this version")
    if not run.lines:
        _refuse(run, "no image is finished", "finish the run")


def _check_thinning(run: Run) -> None:
    if run.record.data.earlier:
        _refuse(run, "its record changed with more images, and would choose other draws", "leave --ask-n out")
    if run.record.backend.placement == "static":
        _refuse(run, "a random part of its draws would not hold every place equally often", "leave --ask-n out")
    if run.record.spec.n_estimate > MOST_DRAWS:
        _refuse(run, f"its draws are more than the {MOST_DRAWS} that can be chosen from", "leave --ask-n out")


def _check_classes(run: Run, question: Question) -> None:
    classes, top_k, costs = run.record.classes, question.top_k, question.costs
    if top_k is not None:
        most = min(classes - 1, MOST_TOP_K)
        _require(1 <= top_k <= most, f"--top-k: in [1, {most}] for {classes} classes", top_k)
    if costs is not None:
        _require(
            costs.classes == classes,
            f"--costs: a matrix of {classes} x {classes}, as the run's classes",
            f"{costs.classes} x {costs.classes}",
        )
        if any(line.label is None for line in run.lines):
            _refuse(run, "its images have no labels, so no mistake has a cost", "ask about labelled images")


def _refuse(run: Run, reason: str, remedy: str) -> None:
    raise InputError(f"{run.directory}: a question needs a finished run of a fixed n: {reason}; {remedy}")


def _require(condition: bool, expected: str, came: object) -> None:
    if not condition:
        raise InputError(f"expected {expected}, got {came}")
