"""CERTIFY (Cohen, Rosenfeld and Kolter 2019, section 3.2.2): a class, and a radius inside which it is the answer."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from purecert.engine.noise.contract import SELECT
from purecert.engine.procedures.drawing import Counts, Draw, Procedure, top_class, until_settled
from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome, Stops
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.procedures.tables.rule import stop_rule
from purecert.engine.statistics.bounds import certified_radius, subtract_budget


def certify(spec: SmoothingSpec, tv: float, label: int | None = None) -> Procedure:
    """Return the steps of CERTIFY. The certificate is wrong with probability at most ``spec.alpha``.

    Two phases that share no draw: the first picks the class that leads, the second bounds its probability. The rule of
    ``spec`` says when to stop (``stopping.py``): after a fixed n, as published, or as soon as the answer is known.

    Args:
        spec: Sampling plan.
        tv: Total variation of one draw's noise from the ideal Gaussian, taken off every bound.
        label: The class to certify, where ``spec`` says that it is given; then nothing is selected.
    """
    rule, top = stop_rule(spec, tv), label
    watch = rule.watch()
    if not spec.against_label:
        top = top_class((yield Draw(SELECT, spec.n_select)))
    if top is None and spec.stop is not None:
        return Abstention()  # no draw was valid, and more draws would settle nothing

    def remaining(counts: Counts, n: int) -> int:
        return watch.remaining(_successes(counts, top), n)

    first = watch.remaining(0, 0)
    estimated = yield from until_settled(spec.n_estimate, first, remaining, spec.step, is_exact=rule.is_exact)
    return certificate(spec, tv, top, estimated, watch.stops)


def certificate(spec: SmoothingSpec, tv: float, top: int | None, estimated: Counts, stops: Stops = ()) -> Outcome:
    """Return what the counts of the second phase prove of class ``top``: a radius above 0, or an abstention."""
    k, n = _successes(estimated, top), int(estimated.sum())
    if top is None or not n:
        return Abstention()  # no draw, no claim
    return certificates(spec, tv, [top], np.array([k]), np.array([n]), [stops])[0]


def certificates(
    spec: SmoothingSpec,
    tv: float,
    tops: Sequence[int],
    k: NDArray[np.int64],
    n: NDArray[np.int64],
    stops: Sequence[Stops],
) -> list[Outcome]:
    """Return ``certificate`` of many images: of class ``tops[i]``, shown by ``k[i]`` of ``n[i]`` draws, at least 1."""
    bound, listed = stop_rule(spec, tv).proven(k, n, stops)
    p_lower = subtract_budget(bound, tv)
    radius = np.maximum(certified_radius(spec.sigma, p_lower), listed)
    proven = zip(tops, p_lower.tolist(), radius.tolist(), stops, strict=True)
    return [
        Certificate(predicted=top, p_lower=p, radius=r, stops=looks) if r > 0 else Abstention(looks)
        for top, p, r, looks in proven
    ]


def _successes(counts: Counts, top: int | None) -> int:
    return 0 if top is None else int(counts.item(top))
