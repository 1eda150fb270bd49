"""Mode radii by stopping tables: what a watch decides, look by look, and which recorded decisions can be true."""

from dataclasses import replace

import numpy as np
import pytest

from purecert.engine.errors import InputError
from purecert.engine.noise.contract import ESTIMATE
from purecert.engine.procedures.certify import certify
from purecert.engine.procedures.conclusions import conclude
from purecert.engine.procedures.drawing import Counts
from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome, Stops, stops_of
from purecert.engine.procedures.placement import misfit, placed
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.procedures.stopping import RadiiRule, threshold_of
from purecert.engine.procedures.tables.paths import path_problems
from purecert.engine.procedures.tables.rule import TableRule, stop_rule, with_tables
from purecert.engine.statistics.table_errors import expected, false_claims_at_most

_TV, _RADII = 1e-7, (0.0, 0.25, 0.5)
_ASKED = SmoothingSpec(
    mode="certify", sigma=0.5, n_select=20, n_estimate=400, alpha=0.01, stop=StopSpec(rule="radii", radii=_RADII)
)
_SPEC = with_tables(_ASKED, _TV)
_RULE = TableRule(_SPEC, _TV)


def _answered(draws: np.ndarray, spec: SmoothingSpec = _SPEC) -> tuple[Outcome, list[Counts], int]:
    """Drive CERTIFY by draws that show class 0 or not; return its end, the counts of its phases, and its looks."""
    procedure, used, looks = certify(spec, _TV), 0, 0
    phases = [np.array([spec.n_select, 0, 0]), np.zeros(3, np.int64)]
    next(procedure)
    counts = phases[0]
    try:
        while True:
            request = procedure.send(counts)
            assert request.phase == ESTIMATE
            shown = int(draws[used : used + request.count].sum())
            counts, used, looks = np.array([shown, request.count - shown, 0]), used + request.count, looks + 1
            phases[1] = phases[1] + counts
    except StopIteration as end:
        return end.value, phases, looks


def _by_hand(draws: np.ndarray) -> tuple[Stops, int]:
    """Return where each radius is decided, and how many are certified, by looking after every draw."""
    assert _SPEC.stop is not None
    stops: dict[int, tuple[int, int]] = {}
    certified, is_lost = 0, False
    for n in range(1, _SPEC.n_estimate + 1):
        k = int(draws[:n].sum())
        for place, table in enumerate(_SPEC.stop.tables):
            if place in stops or n not in table.looks:
                continue
            at = table.looks.index(n)
            if k >= table.high[at]:
                stops[place] = n, k
            elif k <= table.low[at]:
                stops |= {other: (n, k) for other in range(place, 3) if other not in stops}
                break
        if len(stops) == 3:
            break
    for place, table in enumerate(_SPEC.stop.tables):
        n, k = stops[place]
        is_lost |= n not in table.looks or k < table.high[table.looks.index(n)]
        certified += not is_lost
    return tuple(stops[place] for place in range(3)), certified


@pytest.mark.parametrize("p", [0.0, 0.4, 0.55, 0.7, 0.75, 0.85, 0.95, 1.0])
def test_what_is_decided_is_what_looking_after_every_draw_decides(p: float) -> None:
    rng = np.random.default_rng(int(100 * p))
    for _ in range(15):
        draws = rng.random(_SPEC.n_estimate) < p
        outcome, phases, looks = _answered(draws)
        stops, certified = _by_hand(draws)
        assert stops_of(outcome) == stops
        assert int(phases[1].sum()) == max(n for n, _ in stops)
        if not certified:
            assert isinstance(outcome, Abstention)
        else:
            assert isinstance(outcome, Certificate)
            assert outcome.radius == pytest.approx(_RADII[certified - 1], abs=1e-8)
            assert outcome.radius > _RADII[certified - 1]
            threshold = threshold_of(_RADII[certified - 1], 0.5, _TV)
            assert threshold - _TV - 1e-15 <= outcome.p_lower <= threshold - _TV
        assert conclude(_SPEC, _TV, phases, None, stops) == outcome
        assert _problem(stops, phases[1], looks) is None


@pytest.mark.parametrize("p", [0.4, 0.55, 0.7, 0.75, 0.85, 0.95])
def test_a_look_waits_for_the_first_draw_at_which_an_open_radius_may_be_decided(p: float) -> None:
    rng = np.random.default_rng(int(1000 * p))
    for _ in range(10):
        successes = np.append(0, (rng.random(_SPEC.n_estimate) < p).cumsum())
        watch, n, left = _RULE.watch(), 0, list(_RULE.tables)
        while more := watch.remaining(k := int(successes[n]), n):
            left = [table for table, (drawn, _) in zip(_RULE.tables, watch.decided(), strict=True) if not drawn]
            ends = (_first_end(table.looks, table.high, table.low, k, n) for table in left)
            assert n + more == min(ends)
            n += more
        assert left
        assert all(drawn for drawn, _ in watch.decided())


def _first_end(looks: tuple[int, ...], high: tuple[int, ...], low: tuple[int, ...], k: int, n: int) -> int:
    """Return the first look after ``n`` draws at which some draws that follow ``k`` successes end there."""
    at = zip(looks, high, low, strict=True)
    return next(drawn for drawn, most, least in at if drawn > n and (k + drawn - n >= most or k <= least))


def test_false_certificates_of_many_paths_are_as_frequent_as_the_tables_say() -> None:
    """At the threshold of the middle radius its certificate is false, and so is that of the largest."""
    assert _SPEC.stop is not None
    rng, runs, table = np.random.default_rng(7), 1000, _SPEC.stop.tables[1]
    ends = [_answered(rng.random(_SPEC.n_estimate) < table.threshold)[0] for _ in range(runs)]
    false = sum(isinstance(end, Certificate) and end.radius > 0.25 for end in ends)
    assert false <= runs * 0.01 + 4 * np.sqrt(runs * 0.01)
    right, mean = expected(_SPEC.stop.tables[0], np.array([table.threshold]))
    claimed = sum(isinstance(end, Certificate) for end in ends)
    assert abs(claimed - runs * right[0]) < 4 * np.sqrt(runs * right[0] * (1 - right[0])) + 1
    assert mean[0] < _SPEC.n_estimate


def _problem(stops: Stops, estimated: Counts, looks: int) -> str | None:
    k, n = np.array([estimated[0]]), np.array([estimated.sum()])
    (found,) = path_problems(_RULE, [stops], k, n, [looks])
    return found


def test_decisions_that_no_draws_can_come_to_are_refused() -> None:
    draws = np.random.default_rng(3).random(_SPEC.n_estimate) < 0.8
    outcome, phases, looks = _answered(draws)
    stops, estimated = stops_of(outcome), phases[1]
    assert len({n for n, _ in stops}) == 3  # each radius at a look of its own
    assert _problem(stops, estimated, looks) is None
    (n, k), *others = stops
    table = _RULE.tables[0]
    later = table.looks[table.looks.index(n) + 1]
    wrongs = {
        "decision of each of 3 radii": ((n, k), *others[:1]),
        "at looks of the stopping tables": ((n, table.high[table.looks.index(n)] - 1), *others),
        "on one path of draws, open until each": ((later, k + later - n), *others),
    }
    for words, wrong in wrongs.items():
        assert words in str(_problem(wrong, estimated, looks)), words
    for count in (1, looks + 500):
        assert "at least a look a decision" in str(_problem(stops, estimated, count))
    assert "end with the last decision" in str(_problem(stops, estimated + np.array([1, -1, 0]), looks))


def test_a_radius_whose_smaller_one_is_given_up_does_not_count() -> None:
    first, second, _ = _RULE.tables
    given_up = next((n, 0) for n, low in zip(first.looks, first.low, strict=True) if low >= 0)
    claimed = next((n, n) for n, high in zip(second.looks, second.high, strict=True) if high <= n and n in first.looks)
    assert _RULE.certified((given_up, claimed, claimed)) == 0
    assert _RULE.certified((claimed, given_up, claimed)) == 1
    _, radius = _RULE.proven(np.array([claimed[1]]), np.array([claimed[0]]), [(given_up, claimed, claimed)])
    assert radius[0] == 0
    later = next((n, n - given_up[0]) for n in second.looks if n > 4 * given_up[0])
    found = _problem((given_up, later, later), np.array([later[1], given_up[0], 0]), 5)
    assert "left open where a smaller one was given up" in str(found) or "decisions at looks" in str(found)


def test_a_radius_that_is_given_up_takes_the_larger_ones_with_it_whatever_their_tables_say() -> None:
    assert _SPEC.stop is not None
    first, *others = _SPEC.stop.tables
    patient = [
        replace(each, high=tuple(n + 1 for n in each.looks), low=(*[-1 for _ in each.looks[1:]], each.n))
        for each in others
    ]
    rule = TableRule(replace(_SPEC, stop=replace(_SPEC.stop, tables=(first, *patient))), _TV)
    watch, n = rule.watch(), 0
    while more := watch.remaining(0, n):
        n += more
    assert n < _SPEC.n_estimate
    assert watch.stops == ((n, 0),) * 3


def test_all_draws_that_agree_have_one_number_of_looks() -> None:
    outcome, phases, looks = _answered(np.ones(_SPEC.n_estimate, bool))
    for count in (looks - 1, looks + 1):
        assert "that all agree" in str(_problem(stops_of(outcome), phases[1], count))


def test_invalid_rows_stay_in_n() -> None:
    """They never vote: of draws of which two in three are invalid, and the rest agree, nothing is certified."""
    procedure = certify(_SPEC, _TV)
    next(procedure)
    counts, ended = np.array([20, 0, 0]), None
    while ended is None:
        try:
            request = procedure.send(counts)
            counts = np.array([request.count // 3, 0, request.count - request.count // 3])
        except StopIteration as end:
            ended = end.value
    assert isinstance(ended, Abstention)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"alpha": 0.02}, "stopping tables of n = 400 and alpha = 0.02"),
        ({"n_estimate": 500}, "stopping tables of n = 500"),
        ({"step": 20}, "no stopping table where looks fall on whole batches"),
    ],
)
def test_tables_of_another_plan_are_refused(changes: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(_SPEC, **changes)  # type: ignore[arg-type]  # each of its own type


def test_tables_that_err_too_often_or_are_of_other_radii_are_refused() -> None:
    assert _SPEC.stop is not None
    first, *others = _SPEC.stop.tables
    lax = replace(first, high=(*first.high[:-1], first.high[-1] - 1), low=(*first.low[:-1], first.low[-1] - 1))
    assert false_claims_at_most(lax) > 0.01
    for tables, words in (((lax, *others), "errs with at most 0.01"), ((first,), "expected 3 stopping tables")):
        spec = replace(_SPEC, stop=replace(_SPEC.stop, tables=tables))
        with pytest.raises(InputError, match=words):
            stop_rule(spec, _TV)
    with pytest.raises(InputError, match="expected a stopping table of"):
        stop_rule(_SPEC, 1e-4)  # of noise that is further from the ideal


def test_static_placement_has_the_bound_for_every_n_instead() -> None:
    static = placed(_SPEC, is_static=True, batch=10)
    assert static.stop is not None
    assert (static.stop.tables, static.stop.price) == ((), None)
    assert isinstance(stop_rule(static, _TV), RadiiRule)
    assert "no stopping tables under static placement" in str(misfit(_SPEC, is_static=True, batch=1))


def test_what_is_too_large_for_tables_says_so(caplog: pytest.LogCaptureFixture) -> None:
    for changes in ({"n_estimate": 2_000_000}, {"alpha": 1e-13}):
        spec = with_tables(replace(_ASKED, **changes), _TV)  # type: ignore[arg-type]  # each of its own type
        assert spec.stop is not None
        assert not spec.stop.tables
        assert "so the bound that holds at every n decides" in caplog.text
        caplog.clear()
