"""What counts prove of each image: against sums over every outcome, and SciPy's distributions."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize, stats

from purecert.engine.procedures.conclusions import conclude
from purecert.engine.procedures.outcomes import Abstention, Certificate
from purecert.engine.questions.answer import answer
from purecert.engine.questions.claims import Claim
from purecert.engine.questions.costs import Costs
from purecert.engine.questions.question import Question
from purecert.engine.records.lines import Line, dense_counts
from purecert.engine.records.run import Run
from support.records import RUN, with_spec
from support.written_runs import written_run

Array = NDArray[np.float64]
SIGMA = 0.5


def run_of(counts: Sequence[dict[str, int]], *, label: int | None = 0, alpha: float = 1e-3, **changes: Any) -> Run:
    """Return a run of images whose first draws picked class 0, and whose second phase counted ``counts``."""
    record = with_spec(RUN, n_estimate=sum(counts[0].values()), alpha=alpha, sigma=SIGMA)
    record = replace(record, data=replace(record.data, images=len(counts)), **changes)
    lines = [
        Line(
            index=i, label=label, outcome=Abstention(), counts=({"0": 60, "1": 40}, {k: c for k, c in own.items() if c})
        )
        for i, own in enumerate(counts)
    ]
    return written_run(Path("run"), lines, record)


def claims(run: Run, **asked: Any) -> tuple[Claim, ...]:
    return answer(run, Question(**asked), (0.0,)).claims


_ONE_COSTLY = Costs(costly=(frozenset({1}), frozenset(), frozenset()), digest="")
_KINDS = {
    "two-sided": {"kind": "two-sided"},
    "top-k": {"kind": "top-k", "top_k": 2},
    "costs": {"kind": "costs", "costs": _ONE_COSTLY},
}


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("alpha", [0.25, 0.05])
def test_no_question_is_answered_falsely_more_often_than_alpha(kind: str, alpha: float) -> None:
    """Three classes and invalid draws: every outcome with its probability, at laws where bounds just fail."""
    n, rivals = 14, 1 if kind == "costs" else 2
    outcomes = np.array([(*o, n - sum(o)) for o in product(range(n + 1), repeat=3) if sum(o) <= n])
    run = run_of(
        [dict(zip(("0", "1", "2", "invalid"), o.tolist(), strict=True)) for o in outcomes], alpha=alpha, classes=3
    )
    found = claims(run, **_KINDS[kind])
    own, rival, radius = (np.array([getattr(c, name) for c in found]) for name in ("p_lower", "p_rival", "radius"))
    worst = 0.0
    for p in _laws(n, alpha / 2 / rivals):
        true = np.sort(p[1:3] + p[3])[::-1]  # an invalid draw may have been of any class
        of_interest = p[1] + p[3] if kind == "costs" else true[1] if kind == "top-k" else true[0]
        chance = stats.multinomial.pmf(outcomes, n, p)
        worst = max(worst, float(chance[(own > p[0]) | (rival < of_interest)].sum()))
        assert chance[radius > _true_radius(kind, p[0], true, of_interest)].sum() <= alpha
    # The largest of two bounds falls below the largest of two probabilities less often than one of them below its own.
    assert {"costs": 0.6, "two-sided": 0.4, "top-k": 0.2}[kind] * alpha < worst <= alpha


def _laws(n: int, share: float) -> list[Array]:
    edges = [float(stats.beta.isf(share, k + 1, n - k)) + 1e-9 for k in range(n // 3)]
    return [
        np.array([1 - p - q - invalid, p, q, invalid])
        for p, q, invalid in product([*edges, 0.0], edges, (0.0, 0.05, 0.3))
        if p + q + invalid < 1
    ] + [np.array([p, 1 - p, 0, 0]) for p in np.linspace(0.05, 0.95, 19)]


def _true_radius(kind: str, own: float, rivals: Array, rival: float) -> float:
    """Return how far the class keeps its place whatever the classifier, of known probabilities; by SciPy alone."""
    roots = [SIGMA / 2 * (stats.norm.ppf(own) - stats.norm.ppf(min(rival, 1 - own)))]
    together = min(rivals.sum(), 1 - own)
    if kind == "top-k" and 2 * own > together > 0:
        a, b = stats.norm.ppf(own), stats.norm.ppf(together)
        gap = lambda r: 2 * stats.norm.cdf(a - r / SIGMA) - stats.norm.cdf(b + r / SIGMA)  # noqa: E731
        roots.append(optimize.brentq(gap, 0, 20))
    return max(0.0, *roots) + 1e-12


def test_a_two_sided_radius_is_the_formula_with_bounds_on_every_rival() -> None:
    n, alpha, classes = 1000, 1e-3, 10
    counts = [
        {"0": 700, "1": 100, "2": 90, "3": 60, "invalid": 50},
        {"0": 400, "1": 150, "2": 150, "3": 150, "4": 150},  # below one half
        {"0": 1000},
        {"0": 500, "1": 500},
        {"1": 1000},
    ]
    expected = []
    for own in counts:
        p_a = stats.beta.ppf(alpha / 2, own.get("0", 0), n - own.get("0", 0) + 1) if own.get("0") else 0.0
        share = alpha / 2 / (classes - 1)
        most = max(own.get(str(label), 0) for label in range(1, 10)) + own.get("invalid", 0)
        p_b = min(1 - p_a, float(stats.beta.isf(share, most + 1, n - most)) if most < n else 1.0)
        expected.append(max(0.0, SIGMA / 2 * (stats.norm.ppf(p_a) - stats.norm.ppf(p_b))) if p_a else 0.0)
    found = claims(run_of(counts), kind="two-sided")
    radii = [claim.radius for claim in found]
    assert radii == pytest.approx(expected, rel=1e-6)
    assert min(radii[:3]) > 0
    assert all(r <= e for r, e in zip(radii, expected, strict=True))
    assert [claim.is_right for claim in found] == [True] * 5


def test_every_rival_counts_and_none_is_chosen_by_its_draws() -> None:
    """A rival with no draw at all is bounded at its part of alpha, and its bound is the one of a rival with most."""
    found = claims(run_of([{"0": 1000}]), kind="two-sided")[0]
    # No draw in 1,000, alpha / 2 / 9: 1 - share^(1/n); of the class itself, at alpha / 2, the complement is smaller.
    assert found.p_rival == pytest.approx(1 - (5e-4) ** (1 / 1000), rel=1e-6)
    wide = claims(run_of([{"0": 600, "1": 20, "2": 380}]), kind="two-sided")[0]
    assert wide.p_rival == pytest.approx(float(stats.beta.isf(5e-4 / 9, 381, 620)), rel=1e-6)


def test_the_label_stays_among_the_k_likeliest_where_it_is_not_the_first() -> None:
    """The draws picked class 0; the label is 1, likelier than all others but it."""
    run = run_of([{"0": 500, "1": 400, "2": 50, "3": 50}], label=1)
    one, two, many = (claims(run, kind="top-k", top_k=k)[0] for k in (1, 2, 9))
    assert (one.radius, one.spoken_of, one.is_right) == (0.0, 1, True)
    p = stats.beta.ppf(5e-4, 400, 601)
    rival = stats.beta.isf(5e-4 / 9, 51, 950)
    assert two.radius == pytest.approx(SIGMA / 2 * (stats.norm.ppf(p) - stats.norm.ppf(rival)), rel=1e-6)
    assert many.radius > two.radius
    unlabelled = claims(run_of([{"0": 500, "1": 400, "2": 100}], label=None), kind="top-k", top_k=1)[0]
    assert (unlabelled.spoken_of, unlabelled.radius > 0) == (0, False)


def test_costs_bound_the_costly_classes_only() -> None:
    """Class 0 with .6; class 2 with .35 costs nothing for label 0, class 1 with .05 does."""
    counts = [{"0": 600, "1": 50, "2": 350}]
    run = run_of(counts, classes=3)
    found = claims(run, kind="costs", costs=_ONE_COSTLY)[0]
    p_a, p_b = stats.beta.ppf(5e-4, 600, 401), stats.beta.isf(5e-4, 51, 950)
    assert found.radius == pytest.approx(SIGMA / 2 * (stats.norm.ppf(p_a) - stats.norm.ppf(p_b)), rel=1e-6)
    both = Costs(costly=(frozenset({1, 2}),) * 3, digest="")
    assert claims(run, kind="costs", costs=both)[0].radius == claims(run, kind="two-sided")[0].radius
    # The first draws picked class 0: for label 1 that costs, for label 2 no mistake does.
    of_one = claims(
        run_of(counts, label=1, classes=3),
        kind="costs",
        costs=Costs(costly=(frozenset(), frozenset({0}), frozenset()), digest=""),
    )[0]
    assert (of_one.is_asked, of_one.is_right, of_one.radius, of_one.p_right) == (True, False, 0.0, 0.0)
    harmless = claims(
        run_of(counts, label=1, classes=3),
        kind="costs",
        costs=Costs(costly=(frozenset(), frozenset({2}), frozenset()), digest=""),
    )[0]
    assert (harmless.spoken_of, harmless.is_right, harmless.radius > 0) == (0, True, True)
    nothing = answer(run_of(counts, label=2, classes=3), Question(kind="costs", costs=_ONE_COSTLY), (0.0,))
    assert (nothing.images_asked, nothing.average_radius, nothing.distribution) == (0, None, None)


def test_another_alpha_is_what_the_engine_would_have_concluded() -> None:
    counts = [{"0": k, "1": 990 - k, "invalid": 10} for k in range(480, 990, 15)]
    run = run_of(counts)
    asked = with_spec(run.record, alpha=0.01)
    for own, claim in zip(counts, claims(run, kind="certificates", alpha=0.01), strict=True):
        phases = [dense_counts({"0": 60, "1": 40}, 10), dense_counts(own, 10)]
        outcome = conclude(asked.spec, asked.tv, phases, 0)
        engine = (outcome.p_lower, outcome.radius) if isinstance(outcome, Certificate) else (claim.p_lower, 0.0)
        assert (claim.p_lower, claim.radius) == engine


def test_the_total_variation_of_the_noise_is_taken_off_every_bound() -> None:
    run = run_of([{"0": 800, "1": 100, "2": 100}], noise_elements=(2**31 - 1,) * 900)  # so many that it shows
    found, tv = claims(run, kind="two-sided")[0], run.record.tv
    assert tv > 1e-5
    assert found.p_lower == pytest.approx(stats.beta.ppf(5e-4, 800, 201) - tv, abs=1e-9)
    assert found.p_rival == pytest.approx(stats.beta.isf(5e-4 / 9, 101, 900) + tv, abs=1e-9)
