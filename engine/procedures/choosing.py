"""Which procedure answers for an image: a generator that asks for draws, receives counts, and returns an outcome."""

import math
from collections.abc import Sequence

from purecert.engine.errors import InputError
from purecert.engine.procedures.answering import AnswerRule
from purecert.engine.procedures.certify import certify
from purecert.engine.procedures.drawing import Procedure
from purecert.engine.procedures.predict import predict, predict_early
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.procedures.tables.rule import reached_radii, stop_rule


def procedure_for(spec: SmoothingSpec, tv: float, label: int | None = None) -> Procedure:
    """Return a fresh procedure of ``spec``.

    Args:
        spec: Sampling plan.
        tv: Total variation of one draw's noise from the ideal Gaussian, taken off every bound.
        label: The class to certify, where the spec says that it is given.
    """
    if spec.mode == "certify":
        return certify(spec, tv, label)
    return predict(spec, tv) if spec.stop is None else predict_early(spec, tv)


def looks_of(spec: SmoothingSpec, tv: float) -> Sequence[int]:
    """Return the draws of the second phase after which alone a procedure's requests for it end; none if anywhere."""
    return stop_rule(spec, tv).looks if spec.mode == "certify" else ()


def check_asked(spec: SmoothingSpec, tv: float) -> None:
    """Check the same as ``check_rule`` of a plan whose stopping tables, if it is to have some, are not made yet.

    Raises:
        InputError: As ``check_rule``.
    """
    if spec.stop is not None and spec.stop.rule == "radii" and not spec.tables:
        reached_radii(spec, tv)
    else:
        check_rule(spec, tv)


def check_rule(spec: SmoothingSpec, tv: float) -> None:
    """Check that draws as ``spec`` says can ever settle anything.

    Raises:
        InputError: There are too few draws to certify anything, no radius that is listed is within reach, or alpha is
            less than what the noise takes off it.
    """
    if spec.mode == "certify":
        # alpha^(1/n) is the bound when every draw agrees; at 1/2 or below nothing can be certified.
        for n, alpha in spec.fixed_looks:
            if n * -math.log(2) >= math.log(alpha):
                least = -math.log2(alpha)
                raise InputError(f"expected n > log2(1 / alpha) = {least:.1f} to certify anything, got {n}")
        _ = stop_rule(spec, tv)
    elif spec.stop is not None:
        _ = AnswerRule(spec, tv, 0)
