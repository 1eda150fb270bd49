"""Reports of runs that stop early: mode, split, draws, what was settled, and which columns say less than they could."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome, Stops, stops_of
from purecert.engine.procedures.spec import StopSpec
from purecert.engine.records.lines import Line
from purecert.engine.records.run import Run, read_run
from purecert.engine.reports.bonferroni import at_shared_alpha
from purecert.engine.reports.curve import curve_of
from purecert.engine.reports.summary import summarise
from purecert.engine.reports.table import table
from purecert.engine.reports.text import spread
from purecert.engine.statistics.table_regret import chances_given_up
from support.records import with_spec
from support.simulated_runs import write_simulated_run
from support.written_runs import written_record, written_run

_RADII = StopSpec(rule="radii", radii=(0.0, 0.25, 0.5), alpha_final=5e-4)
_TOLERANCE = StopSpec(rule="tolerance", tolerance=0.05, alpha_final=5e-4)


def test_table_says_mode_and_draws() -> None:
    text = table([summarise(_run(_RADII)), summarise(_run(None))])
    heading, _, stopped, _, fixed, *_ = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    column = heading.index("mode")
    # (200 + 400 + 1100) / 3 draws, rounded up
    assert (stopped[column], stopped[column + 1]) == ("radii", "566.7")
    assert fixed[column] == "fixed"


def test_notes_say_split_looks_and_what_was_settled() -> None:
    text = table([summarise(_run(_RADII))])
    assert "mode radii: stops when each radius of 0, 0.25, 0.5 is certified or given up" in text
    assert "of alpha 0.0005 for stopping, 0.0005 for the bound after the last draw; 0.001 more for giving up" in text
    assert "566.7 draws an image on average, looked at 4.0 times; 2 of 3 images ended before all draws" in text


@pytest.mark.parametrize(
    ("k", "outcome", "undecided"),
    [
        # Of 1000 draws: 1 / alpha is out of reach for 700 at Phi(.5) = .691, and for its failures; .5 is exceeded.
        (700, Certificate(predicted=0, p_lower=0.65, radius=0.2), 1),
        (990, Certificate(predicted=0, p_lower=0.97, radius=0.9), 0),
        (100, Abstention(), 0),  # far below one half, so all is given up
        (505, Abstention(), 1),  # one half itself is open, .691 and .841 are far above
    ],
)
def test_undecided_radii_are_counted(k: int, outcome: Outcome, undecided: int) -> None:
    row = Line(index=0, label=0, outcome=outcome, counts=({"0": 100}, {"0": k, "1": 1000 - k}), looks=9)
    stopping = summarise(_written([row], _RADII)).stopping
    assert stopping is not None
    assert (stopping.radii_asked, stopping.radii_undecided) == (3, undecided)


def test_radii_mode_has_no_average_radius_and_marks_other_columns() -> None:
    summary = summarise(_run(_RADII), (0.25, 0.4))
    assert summary.average_radius is None
    assert [point.is_settled for point in summary.certified_at] == [True, False]
    text = table([summary])
    assert "33.3 %*" in text  # of 0.4; the column of 0.25 has no mark
    assert "*: not what the run stops at" in text
    assert "%*" not in table([summarise(_run(_RADII), (0.25, 0.5))])


def test_tolerance_mode_keeps_its_average_radius() -> None:
    summary = summarise(_run(_TOLERANCE))
    assert summary.average_radius == pytest.approx((0.3 + 0.6) / 3)
    assert "stops when the radius is within 0.05 of the largest" in table([summary])


def test_report_at_a_shared_alpha_says_what_the_draws_leave_open() -> None:
    certificate = Certificate(predicted=0, p_lower=0.8, radius=0.25)
    rows = [
        Line(index=i, label=0, outcome=certificate, counts=({"0": 100}, {"0": 88, "1": 12}), looks=9) for i in range(5)
    ]
    run = _written(rows, StopSpec(rule="radii", radii=(0.25, 50.0), alpha_final=5e-4))
    (shared,) = at_shared_alpha([run])
    summary = summarise(shared, (0.0, 0.25), drawn=run.record)
    assert summary.stopping is not None
    reached = sum(isinstance(row.outcome, Certificate) and row.outcome.radius >= 0.25 for row in shared.lines)
    assert (summary.stopping.radii_asked, summary.stopping.radii_undecided) == (5, 5 - reached)
    assert not any(point.is_settled for point in summary.certified_at)
    text = table([summary])
    assert "the draws stopped at alpha 0.001, too early for many certificates at 0.0002" in text
    assert "out of reach of 1000 draws, and never asked for: 50" in text
    assert "each radius of 0.25 is certified" in text


def test_report_at_an_alpha_that_no_number_of_these_draws_reaches_is_one_of_abstentions() -> None:
    rows = [Line(index=i, label=0, outcome=Abstention(), counts=({"0": 100}, {"0": 14}), looks=1) for i in range(30)]
    stop = StopSpec(rule="radii", radii=(0.0,), alpha_final=5e-4)
    run = written_run(Path("run"), rows, with_spec(written_record(len(rows), n=14), stop=stop))
    (shared,) = at_shared_alpha([run])
    assert summarise(shared, (0.0,), drawn=run.record).abstained == 30


def test_given_class_is_marked() -> None:
    run = _run(_RADII)
    marked = summarise(replace(run, record=with_spec(run.record, against_label=True)))
    assert marked.marks == ("class given: label; nothing is claimed of other classes",)


def test_curve_steps_at_listed_radii_only() -> None:
    curve = curve_of(_run(_RADII))
    assert curve.name == "run (sigma 0.5, at listed radii)"
    assert list(curve.radius[:-1]) == [0.0, 0.25, 0.5]
    assert curve.share == pytest.approx(np.array([200, 100, 0, 0]) / 3)
    assert list(curve_of(_run(None)).radius[:-1]) == [0.0, 0.3, 0.6]


def _run(stop: StopSpec | None) -> Run:
    """Return a run of three images: two certified after 100 and 300 draws, one that took all 1000."""
    outcomes: list[tuple[int, Outcome]] = [
        (100, Certificate(predicted=0, p_lower=0.9, radius=0.3)),
        (300, Certificate(predicted=0, p_lower=0.9, radius=0.6)),
        (1000, Abstention()),
    ]
    rows = [
        Line(index=i, label=0, outcome=outcome, counts=({"0": 100}, {"0": n}), looks=looks)
        for i, ((n, outcome), looks) in enumerate(zip(outcomes, (2, 3, 7), strict=True))
    ]
    return _written(rows, stop)


def _written(rows: Sequence[Line], stop: StopSpec | None) -> Run:
    return written_run(Path("run"), rows, with_spec(written_record(len(rows), n=1000), stop=stop))


def test_a_run_with_tables_says_its_price_and_what_fixed_n_would_add(tmp_path: Path) -> None:
    run = read_run(write_simulated_run(tmp_path / "tables", "tables"))
    stopping = summarise(run).stopping
    assert stopping is not None
    assert stopping.given_up is not None
    assert stopping.rule.tables == ()  # thousands of numbers, which run.json has
    expected = sum(_chance_given_up(run, stops_of(line.outcome)) for line in run.lines)
    assert stopping.given_up.images == pytest.approx(expected)
    text = table([summarise(run)])
    assert "stopping tables, each of alpha 0.001, at a price of 1e+06 draws" in text
    (price,) = [line for line in text.splitlines() if "the price:" in line]
    assert f"{stopping.given_up.images:.1f} more images would be expected to reach a larger listed radius" in price
    drawn = sum(sum(phase.values()) for line in run.lines for phase in line.counts) / len(run.lines)
    assert f"the price: {spread(drawn)} draws an image were drawn; drawn to n = {run.record.spec.n_estimate:,}" in price


def _chance_given_up(run: Run, stops: Stops) -> float:
    """Return the chance that fixed n certifies the first radius that was given up."""
    assert run.record.spec.stop is not None
    for table_of_radius, (n, k) in zip(run.record.spec.stop.tables, stops, strict=True):
        if k < dict(zip(table_of_radius.looks, table_of_radius.high, strict=True))[n]:
            return float(chances_given_up(table_of_radius, [n], [k])[0])
    return 0.0
