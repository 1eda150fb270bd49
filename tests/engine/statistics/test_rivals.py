"""Bounds on all rivals at once, and their radii: against sums over multinomials, linear programs and mpmath.

None of these references shares code with what they judge.
"""

from itertools import product

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize, stats

from purecert.engine.statistics.rivals import (
    complement,
    probability_lower,
    probability_upper,
    top_k_radius,
    two_sided_radius,
)

Array = NDArray[np.float64]


@pytest.mark.parametrize("trials", [1, 7, 1000, 100_000])
def test_bounds_are_those_of_clopper_and_pearson_on_the_safe_side(trials: int) -> None:
    alpha, tv = 1e-3 / 18, 1e-9
    k = np.unique(np.geomspace(1, trials + 1, 30).astype(int) - 1)
    lower, upper = probability_lower(k, trials, alpha, tv), probability_upper(k, trials, alpha, tv)
    exact_upper = np.where(k < trials, stats.beta.isf(alpha, k + 1, np.maximum(trials - k, 1)), 1.0) + tv
    exact_lower = np.where(k > 0, stats.beta.ppf(alpha, np.maximum(k, 1), trials - k + 1), 0.0) - tv
    assert np.all(lower <= np.maximum(exact_lower, 0))
    assert np.all(upper >= np.minimum(exact_upper, 1) * (1 - 1e-13))
    for ours, exact, claimed in ((lower, exact_lower, exact_lower), (upper, exact_upper, 1 - exact_upper)):
        is_claimed = claimed * trials > 0.31
        np.testing.assert_allclose(ours[is_claimed], exact[is_claimed], rtol=3e-8)


@pytest.mark.parametrize("batch", [1, 2, 4, 12])
@pytest.mark.parametrize("alpha", [0.25, 0.125, 0.01])
def test_bounds_hold_for_draws_of_unlike_laws_too(batch: int, alpha: float) -> None:
    """Whole batches whose places have unlike laws, by exact sums, at means just below and above what counts claim.

    Where only one place ever shows the class, one success is likelier than of draws of one law: so it claims nothing.
    """
    n = 12
    k = np.arange(n + 1)
    lower, upper = probability_lower(k, n, alpha, 0.0), probability_upper(k, n, alpha, 0.0)
    exact = stats.beta.ppf(alpha, np.maximum(k, 1), n - k + 1)[1:]
    for mean in (*(exact * (1 - 1e-9)), *(1 - exact * (1 - 1e-9))):
        whole, part = divmod(mean * batch, 1)
        concentrated = np.where(np.arange(batch) < whole, 1.0, np.where(np.arange(batch) == int(whole), part, 0.0))
        for places in (np.full(batch, mean), concentrated):
            law = np.ones(1)
            for p in np.tile(places, n // batch):
                law = np.convolve(law, [1 - p, p])
            assert law[lower > mean].sum() <= alpha * (1 + 1e-9)
            assert law[upper < mean].sum() <= alpha * (1 + 1e-9)


@pytest.mark.parametrize("alpha", [0.25, 0.05])
def test_all_bounds_of_an_image_fail_together_with_probability_at_most_alpha(alpha: float) -> None:
    """Three classes and invalid draws: every outcome of n draws, its probability, and whether a bound fails there."""
    n, rivals = 15, 2
    outcomes = np.array([o for o in product(range(n + 1), repeat=3) if sum(o) <= n])  # class, rivals; the rest: invalid
    outcomes = np.column_stack([outcomes, n - outcomes.sum(axis=1)])
    own = probability_lower(outcomes[:, 0], n, alpha / 2, 0.0)
    upper = probability_upper(outcomes[:, 1:3] + outcomes[:, 3:], n, alpha / 2 / rivals, 0.0)
    worst = 0.0
    for p in _laws(n, alpha / 2 / rivals):
        fails = (own > p[0]) | (upper < p[1:3] + p[3]).any(axis=1)  # an invalid draw may have been of any class
        worst = max(worst, float(stats.multinomial.pmf(outcomes[fails], n, p).sum()))
    assert 0.6 * alpha < worst <= alpha


def _laws(n: int, share: float) -> list[Array]:
    """Return laws of class, two rivals and invalid draws; each rival just above what some count bounds it by."""
    edges = [1 - share ** (1 / n) + 1e-9, *(float(stats.beta.isf(share, k + 1, n - k)) + 1e-9 for k in range(n // 3))]
    return [
        np.array([1 - p - q - invalid, p, q, invalid])
        for p, q, invalid in product(edges, edges, (0.0, 0.05))
        if p + q + invalid < 1
    ]


@pytest.mark.parametrize(("p_lower", "p_upper"), [(0.9, 0.05), (0.4, 0.3), (0.999, 1e-6), (0.5001, 0.4), (0.02, 0.019)])
def test_two_sided_radius_is_where_the_worst_half_spaces_meet_and_not_above(p_lower: float, p_upper: float) -> None:
    sigma = 0.5
    radius = float(two_sided_radius(sigma, p_lower, p_upper))
    with mpmath.workdps(40):
        a, b = (mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(p) - 1) for p in (p_lower, p_upper))
        exact = mpmath.mpf(sigma) / 2 * (a - b)
        assert exact * (1 - mpmath.mpf("1e-9")) <= radius <= exact


@pytest.mark.parametrize(("p_lower", "uppers"), [(0.4, [0.3, 0.3, 0.3]), (0.27, [0.5, 0.12, 0.11]), (0.3, [0.35, 0.2])])
def test_top_k_radius_is_the_root_of_its_equation_and_not_above(p_lower: float, uppers: list[float]) -> None:
    sigma = 0.25
    radius = float(top_k_radius(sigma, p_lower, uppers))
    with mpmath.workdps(40):
        roots = []
        for t in range(1, len(uppers) + 1):
            together = min(mpmath.fsum(uppers[-t:]), 1 - mpmath.mpf(p_lower))
            a, b = (mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(p) - 1) for p in (p_lower, together))
            if t * mpmath.mpf(p_lower) > together:
                gap = lambda r, t=t, a=a, b=b: t * mpmath.ncdf(a - r / sigma) - mpmath.ncdf(b + r / sigma)  # noqa: E731
                roots.append(mpmath.findroot(gap, (0, 2), solver="anderson", tol=1e-30))
        exact = max(roots)
        assert exact * (1 - mpmath.mpf("1e-8")) <= radius <= exact


def test_no_radius_is_rounded_above_the_exact_one() -> None:
    """At the radius in 40 digits the class is ahead of the rivals' bounds, to one part in 10^12 and less."""
    random, sigma = np.random.default_rng(16), 0.25
    p_lower = random.uniform(0.01, 0.999, 200)
    rivals = np.sort(random.uniform(0, 1, (200, 3)) * (1 - p_lower)[:, None] / random.uniform(1, 3, (200, 1)))[:, ::-1]
    is_near = np.arange(200) % 3 == 0
    rivals[is_near, 0] = rivals[is_near, -1] = p_lower[is_near] * (1 - 10.0 ** -random.uniform(1, 9, is_near.sum()))
    rivals = np.sort(rivals)[:, ::-1]
    two_sided = two_sided_radius(sigma, p_lower, rivals[:, 0])
    top_two = top_k_radius(sigma, p_lower, rivals[:, :2])
    assert min((two_sided > 0).sum(), (top_two > two_sided).sum()) > 30
    with mpmath.workdps(40):
        for p, (first, second, _), r, s in zip(p_lower, rivals, two_sided, top_two, strict=True):
            assert r == 0 or _lead(p, [first], r / mpmath.mpf(sigma)) >= 0
            joint = [_lead(p, [second], s / mpmath.mpf(sigma)), _lead(p, [first, second], s / mpmath.mpf(sigma))]
            assert s == 0 or max(joint) >= 0


def _lead(p: float, rivals: list[float], moved: mpmath.mpf) -> mpmath.mpf:
    """Return the class's least probability after the move, less the mean of what its rivals can have together."""
    together = min(mpmath.fsum(map(mpmath.mpf, rivals)), 1 - mpmath.mpf(p))
    a, b = (mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(q) - 1) for q in (p, together))
    return mpmath.ncdf(a - moved) - mpmath.ncdf(b + moved) / len(rivals)


@pytest.mark.parametrize(
    ("p_lower", "uppers", "k"),
    [
        (0.5, [0.2, 0.2, 0.2, 0.2], 1),
        (0.35, [0.3, 0.3, 0.2, 0.1], 1),
        (0.4, [0.3, 0.3, 0.3, 0.3], 2),
        (0.3, [0.6, 0.15, 0.1, 0.1], 2),
        (0.25, [0.4, 0.4, 0.2, 0.1], 3),
        (0.26, [0.3, 0.2, 0.2, 0.2], 3),
    ],
)
def test_no_classifier_breaks_a_top_k_radius_and_one_breaks_a_larger_one(
    p_lower: float, uppers: list[float], k: int
) -> None:
    """The best that any classifier can do along a line, by linear programming over cells that split between classes."""
    radius = float(top_k_radius(1.0, p_lower, uppers[:k]))
    assert radius > 0.02
    assert _most_rivals_ahead(p_lower, uppers, k, radius) <= 1e-9
    assert _most_rivals_ahead(p_lower, uppers, k, radius * 1.02 + 0.002) > 0


def _most_rivals_ahead(p_lower: float, uppers: list[float], k: int, moved: float) -> float:
    """Return by how much the k rivals with the largest bounds can all lead the class at distance ``moved``.

    Any classifier under noise of std 1, seen along the line of the move: cells of the line, each given to the classes
    in parts x. Its probabilities at the image and after the move are linear in x.
    """
    edges = np.concatenate([[-np.inf], np.linspace(-6, 7, 521), [np.inf]])
    here, there = np.diff(stats.norm.cdf(edges)), np.diff(stats.norm.cdf(edges - moved))
    cells, classes = len(here), 1 + len(uppers)
    width = cells * classes + 1  # the last: the lead, which is made as large as can be

    def row(label: int, weights: Array, sign: float = 1.0) -> Array:
        made = np.zeros(width)
        made[label * cells : (label + 1) * cells] = sign * weights
        return made

    bounds = [row(0, here, -1.0), *(row(j, here) for j in range(1, classes))]
    leads = [row(0, there) - row(j, there) for j in range(1, k + 1)]
    for lead in leads:
        lead[-1] = 1.0
    whole = np.hstack([np.tile(np.eye(cells), classes), np.zeros((cells, 1))])
    target = np.zeros(width)
    target[-1] = -1.0
    solved = optimize.linprog(
        target,
        A_ub=np.array([*bounds, *leads]),
        b_ub=np.array([-p_lower, *uppers, *[0.0] * k]),
        A_eq=whole,
        b_eq=np.ones(cells),
        bounds=[(0, 1)] * (width - 1) + [(-1, 1)],
        method="highs",
    )
    assert solved.status == 0
    return float(-solved.fun)


def test_no_radius_reaches_past_where_a_classifier_of_bands_changes_its_answer() -> None:
    """Classifiers whose every probability is known along their whole line: bands of it, given to classes at random."""
    random, sigma, classes, is_tight = np.random.default_rng(7), 0.5, 4, 0
    points = np.concatenate([-np.arange(1, 600), np.arange(600)]) / 200
    for _ in range(80):
        ends = np.sort(random.uniform(-1.5, 1.5, 5))
        labels = random.integers(0, classes, 6)
        mass = np.diff(stats.norm.cdf((ends[None] - points[:, None]) / sigma), axis=1, prepend=0, append=1)
        p = np.stack([mass[:, labels == label].sum(axis=1) for label in range(classes)], axis=1)
        here, label = p[599], int(random.integers(classes))
        rivals = np.sort(np.delete(here, label))[::-1]
        for k in (1, 2, 3):
            lost = np.abs(points[(np.delete(p, label, axis=1) >= p[:, [label]]).sum(axis=1) >= k])
            radius = float(top_k_radius(sigma, min(here[label], 1 - 1e-12), np.clip(rivals[:k], 1e-12, 1)))
            assert radius <= lost.min(initial=np.inf)
            is_tight += radius > 0.8 * lost.min(initial=np.inf)
    assert is_tight > 5


def test_of_one_rival_both_radii_are_the_published_one_at_its_part_of_alpha() -> None:
    p = np.array([0.3, 0.5, 0.6, 0.95])
    published = np.maximum(stats.norm.ppf(p), 0)
    np.testing.assert_allclose(two_sided_radius(1.0, p, complement(p)), published, rtol=1e-9)
    np.testing.assert_allclose(top_k_radius(1.0, p, np.ones((4, 1))), published, rtol=1e-9)


def test_where_nothing_is_known_nothing_is_claimed() -> None:
    assert two_sided_radius(1.0, [0.0, 0.0, 0.4, 0.5], [1e-9, 1.0, 0.4, 1.0]).tolist() == [0, 0, 0, 0]
    assert top_k_radius(1.0, [0.0, 0.1], [[1.0, 1.0, 1.0], [0.3, 0.3, 0.3]]).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("p_lower", "uppers", "words"),
    [
        (1.0, [0.1], "p_lower in"),
        (0.5, [1.1], "p_upper in"),
        (0.5, [0.0], "p_upper in"),
        (0.5, [0.1, 0.2], "decreasing"),
    ],
)
def test_arguments_out_of_range_are_refused(p_lower: float, uppers: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        top_k_radius(1.0, p_lower, uppers)
