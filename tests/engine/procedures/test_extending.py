"""Draws that are continued after a look: their exact error through the real procedure, and what their looks may be."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from purecert.engine.errors import InputError
from purecert.engine.noise.contract import ESTIMATE, SELECT
from purecert.engine.procedures.choosing import check_rule, procedure_for
from purecert.engine.procedures.conclusions import conclude
from purecert.engine.procedures.extending import continued, extended
from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome, stops_of
from purecert.engine.procedures.placement import is_sound, misfit, placed
from purecert.engine.procedures.spec import ExtensionSpec, SmoothingSpec, StopSpec
from support.procedure_audit.unlike_draws import laws_of_mean

Floats = NDArray[np.float64]
_FIRST, _LAST, _ALPHA = 16, 48, 0.05


def _spec(*, step: int = 1, share: float = 0.5) -> SmoothingSpec:
    extension = ExtensionSpec(n_first=_FIRST, n_last=_LAST, alpha_first=share * _ALPHA)
    return SmoothingSpec(
        mode="certify",
        sigma=0.5,
        n_select=step,
        n_estimate=_FIRST,
        alpha=_ALPHA,
        step=step,
        extension=extension,
    )


def _end(spec: SmoothingSpec, k_first: int, k_last: int, *, from_first: bool = True) -> Outcome:
    """Return what the procedure says of class 0 where it shows so often after the first look and after the last."""
    selected, looked = np.array([spec.n_select, 0, 0]), np.array([k_first, _FIRST - k_first, 0])
    rest = np.array([k_last - k_first, _LAST - _FIRST - k_last + k_first, 0])
    procedure = procedure_for(spec, 0.0)
    if from_first:
        procedure = continued(procedure, [selected, looked])
        asked = [next(procedure)]
    else:
        asked = [next(procedure), procedure.send(selected), procedure.send(looked)]
    assert [(draw.phase, draw.count) for draw in asked][-1] == (ESTIMATE, _LAST - _FIRST)
    with pytest.raises(StopIteration) as ended:
        procedure.send(rest)
    outcome: Outcome = ended.value.value
    return outcome


def _claims(spec: SmoothingSpec) -> Floats:
    """Return what is claimed, 0 where nothing is, of each number of successes at the first look and after it."""
    rest = _LAST - _FIRST
    ends = [[_end(spec, k, k + more) for more in range(rest + 1)] for k in range(_FIRST + 1)]
    return np.array([[end.p_lower if isinstance(end, Certificate) else 0.0 for end in row] for row in ends])


def _of_places(law: Floats, draws: int) -> Floats:
    """Return the probabilities of each number of successes in draws whose places have these probabilities in turn."""
    places: Sequence[Floats] = [np.array([1 - p, p]) for p in np.resize(law, draws)]
    return reduce(np.convolve, places)


def _laws(p: float, step: int) -> Iterator[tuple[Floats, Floats]]:
    if step == 1:
        yield (
            stats.binom.pmf(range(_FIRST + 1), _FIRST, p),
            stats.binom.pmf(range(_LAST - _FIRST + 1), _LAST - _FIRST, p),
        )
    else:
        for law in laws_of_mean(p, step, np.random.default_rng(step)):
            yield _of_places(law, _FIRST), _of_places(law, _LAST - _FIRST)


@pytest.mark.parametrize(("step", "share"), [(1, 0.5), (1, 0.1), (4, 0.5), (16, 0.9)])
def test_both_looks_together_err_with_at_most_alpha(step: int, share: float) -> None:
    """At each probability just below what is claimed somewhere; nothing else in between is worse."""
    spec = extended(_spec(step=step, share=share))
    claims, worst = _claims(spec), 0.0
    for p in np.unique(claims[claims > 0.5]) * (1 - 1e-12):
        for first, rest in _laws(p, step):
            worst = max(worst, float(first @ (claims > p) @ rest))
    assert worst <= _ALPHA * (1 + 1e-9)
    assert worst > 0.6 * _ALPHA  # so that all of alpha at each look would show


def test_the_parts_of_alpha_are_at_most_alpha_together_and_each_look_has_its_own() -> None:
    for share in (0.5, 0.1, 1 / 3, 0.7):
        (_, first), (_, last) = _spec(share=share).fixed_looks
        assert 0 < first + last <= _ALPHA
        assert first + last == pytest.approx(_ALPHA, rel=1e-12)
    spec = _spec(share=0.1)
    assert (spec.alpha_fixed, extended(spec).alpha_fixed) == (spec.fixed_looks[0][1], spec.fixed_looks[1][1])
    at_first = conclude(spec, 0.0, [np.array([1, 0, 0]), np.array([_FIRST, 0, 0])], None)
    fixed = replace(spec, extension=None, alpha=spec.fixed_looks[0][1])
    assert at_first == conclude(fixed, 0.0, [np.array([1, 0, 0]), np.array([_FIRST, 0, 0])], None)


def test_a_continued_procedure_ends_as_one_that_drew_all_itself() -> None:
    spec = extended(_spec())
    for k_first, k_last in ((_FIRST, _LAST), (_FIRST, _FIRST + 20), (12, 40), (0, 3)):
        end = _end(spec, k_first, k_last)
        assert end == _end(spec, k_first, k_last, from_first=False)
        assert stops_of(end) == ((_FIRST, k_first), (_LAST, k_last))
        phases = [np.array([1, 0, 0]), np.array([k_last, _LAST - k_last, 0])]
        assert conclude(spec, 0.0, phases, None, stops_of(end)) == end
    # What the first look proved stays proved, whatever comes after it.
    assert isinstance(_end(spec, _FIRST, _FIRST + 10), Certificate)
    assert isinstance(_end(spec, 10, 20), Abstention)


@pytest.mark.parametrize(
    "stops",
    [
        (),
        ((_FIRST, 12),),
        ((_LAST, 40),),
        ((_FIRST, 12), (_FIRST, 12), (_LAST, 40)),
        ((_FIRST, 12), (_LAST, 41)),
        ((_LAST, 40), (_FIRST, 12)),
        ((_FIRST + 1, 12), (_LAST, 40)),
        ((_FIRST, _FIRST + 1), (_LAST, 40)),
        ((_FIRST, -1), (_LAST, 40)),
        ((_FIRST, 7), (_LAST, 40)),  # 33 more successes in 32 draws
        ((_FIRST, 10**400), (_LAST, 40)),
        ((10**400, 10), (_LAST, 40)),
    ],
)
def test_looks_that_no_draws_can_have_had_are_refused(stops: tuple[tuple[int, int], ...]) -> None:
    phases = [np.array([1, 0, 0]), np.array([40, 8, 0])]
    assert isinstance(conclude(extended(_spec()), 0.0, phases, None, ((_FIRST, 12), (_LAST, 40))), Certificate)
    with pytest.raises(InputError, match=r"the first look|expected two looks"):
        conclude(extended(_spec()), 0.0, phases, None, stops)
    fewer = [np.array([1, 0, 0]), np.array([3, 45, 0])]
    with pytest.raises(InputError, match="they cannot"):  # more successes at the first look than at the end
        conclude(extended(_spec()), 0.0, fewer, None, ((_FIRST, 4), (_LAST, 3)))


def test_other_draws_than_planned_are_refused() -> None:
    with pytest.raises(InputError, match=r"begun without --extend-to.*a bound that is looked at twice is another test"):
        extended(replace(_spec(), extension=None))
    with pytest.raises(InputError, match=f"continued to {_LAST} already"):
        extended(extended(_spec()))
    spec, stop = _spec(), StopSpec(rule="tolerance", tolerance=0.1)
    for changes, words in (
        ({"stop": stop}, "certificates of a fixed n to extend: draws that stop early take what they need"),
        ({"mode": "predict"}, "certificates of a fixed n to extend"),
        ({"n_estimate": _FIRST + 1}, r"n as one of the looks of its extension, \(16, 48\)"),
        ({"alpha": _ALPHA / 2}, "alpha of the first look as a part of alpha, 0.025, got 0.025"),
    ):
        with pytest.raises(InputError, match=words):
            replace(spec, **changes)  # type: ignore[arg-type]  # by name
    for given in ((16, 16), (48, 16), (0, 5), (1, 2**32)):
        with pytest.raises(InputError, match="to extend to"):
            ExtensionSpec(n_first=given[0], n_last=given[1], alpha_first=0.01)
    short = ExtensionSpec(n_first=8, n_last=_LAST, alpha_first=8e-4)
    with pytest.raises(InputError, match=r"n > log2\(1 / alpha\) = 10.3 to certify anything, got 8"):
        check_rule(replace(spec, n_estimate=8, alpha=1e-3, extension=short), 0.0)


def test_under_static_placement_both_looks_come_after_whole_batches() -> None:
    fitted = placed(_spec(), is_static=True, batch=10)
    assert (fitted.n_select, fitted.n_estimate, fitted.fixed_looks[1][0]) == (10, 20, 50)
    assert placed(fitted, is_static=True, batch=10) == fitted
    with pytest.raises(
        InputError, match="draws to extend to beyond the batch in which the first ones end, got 16 and 48"
    ):
        placed(_spec(), is_static=True, batch=64)
    with pytest.raises(InputError, match="draws in whole batches of 10"):
        replace(fitted, extension=replace(fitted.extension, n_last=51))  # type: ignore[type-var]  # it has one
    unfit = _spec()  # its looks are of two mixtures of places, which a fixed n of one look never is
    assert misfit(unfit, is_static=True, batch=10) is not None
    assert not is_sound(unfit, is_static=True, batch=10)
    assert is_sound(replace(unfit, extension=None), is_static=True, batch=10)


def test_draws_that_select_are_continued_by_none() -> None:
    procedure = procedure_for(extended(_spec()), 0.0)
    assert next(procedure).phase == SELECT
    assert procedure.send(np.array([0, 1, 0])).phase == ESTIMATE
    with pytest.raises(AssertionError, match="counts of other draws"):
        next(continued(procedure_for(extended(_spec()), 0.0), [np.array([0, 2, 0])]))
