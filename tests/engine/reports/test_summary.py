"""Numbers, marks and drawings of runs: against exact fractions, other exact intervals and published tables."""

import json
import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purecert.engine.errors import InputError
from purecert.engine.logs.cohen_tsv import read_cohen_tsv
from purecert.engine.procedures.outcomes import Abstention, Certificate, Prediction
from purecert.engine.records.lines import Line
from purecert.engine.records.run import Run
from purecert.engine.reports.summary import Summary, summarise, summary_json
from purecert.engine.reports.table import AT_LEAST, print_report, table
from support.shared_files import shared
from support.written_runs import certified_row, mixed_run, outcome_row, written_record, written_run

# numbers


def test_counts_are_of_right_and_wide_enough_certificates() -> None:
    summary = summarise(mixed_run([0.1, 0.25, 0.5, 0.9], wrong=[0.8, 0.8], abstained=4), (0.0, 0.25, 0.5, 0.75, 1.0))
    assert [point.images for point in summary.certified_at] == [4, 3, 2, 1, 0]
    assert (summary.images, summary.correct, summary.abstained) == (10, 4, 4)
    assert summary.average_radius == pytest.approx((0.1 + 0.25 + 0.5 + 0.9) / 10, rel=1e-15)


@settings(deadline=None)
@given(radii=st.lists(st.floats(0, 4), max_size=20), asked=st.integers(0, 400))
def test_radius_counts_as_the_decimal_it_is_written_as(radii: list[float], asked: int) -> None:
    summary = summarise(mixed_run(radii, abstained=1), (asked / 100,))
    exact = Fraction(asked, 100)
    assert summary.certified_at[0].images == sum(Fraction(radius) >= exact for radius in radii)


def test_radius_just_below_the_asked_one_does_not_count() -> None:
    # The double nearest to 0.3 lies below three tenths.
    below, above = 0.3, math.nextafter(0.3, 1)
    assert Decimal(below) < Decimal("0.3") < Decimal(above)
    assert [summarise(mixed_run([radius]), (0.3,)).certified_at[0].images for radius in (below, above)] == [0, 1]


@pytest.mark.parametrize("radius", [-0.1, math.nan, math.inf])
def test_radius_that_none_can_have_is_refused(radius: float) -> None:
    with pytest.raises(InputError, match="--radii: expected radii of at least 0"):
        summarise(mixed_run([1.0]), (0.0, radius))


def test_invalid_draws_of_both_phases_are_summed() -> None:
    rows = [Line(index=0, label=0, outcome=Abstention(), counts=({"0": 98, "invalid": 2}, {"1": 995, "invalid": 5}))]
    summary = summarise(written_run(Path("run"), rows))
    assert (summary.invalid_draws, summary.draws) == (7, 1100)


@pytest.mark.parametrize(("images", "alpha"), [(1, 1e-3), (500, 1e-3), (1500, 1e-3), (100, 0.05)])
def test_false_claims_of_independent_images_have_a_closed_form(images: int, alpha: float) -> None:
    rows = [replace(certified_row(0, 1.0), index=index) for index in range(images)]
    claims = summarise(written_run(Path("run"), rows, written_record(images, alpha=alpha))).false_claims
    exact = 1 - (1 - Fraction(alpha)) ** images
    assert claims.any_at_most == pytest.approx(float(exact), rel=1e-12)
    assert claims.expected_at_most == pytest.approx(images * alpha)


def test_prediction_run_has_accuracy_and_no_radii() -> None:
    rows = [
        outcome_row(0, Prediction(predicted=0, p_value=1e-9)),
        outcome_row(1, Prediction(predicted=1, p_value=1e-9)),
        outcome_row(2, Abstention()),
    ]
    summary = summarise(written_run(Path("run"), rows, written_record(3, mode="predict")))
    assert (summary.correct, summary.abstained, summary.certified_at, summary.average_radius) == (1, 1, (), None)


def test_unlabelled_images_have_no_accuracy() -> None:
    rows = [replace(certified_row(0, 1.0), label=None)]
    summary = summarise(written_run(Path("run"), rows))
    assert (summary.correct, summary.certified_at, summary.average_radius, summary.images) == (None, (), None, 1)
    assert "no labels, so no accuracy" in table([summary])


def test_run_that_has_finished_nothing_is_summarised() -> None:
    summary = summarise(written_run(Path("run"), [], written_record(10)))
    assert (summary.images, summary.correct, summary.average_radius) == (0, None, None)
    assert summary.false_claims.any_at_most == 0
    assert "incomplete: 0 of 10 images are finished" in table([summary])


@pytest.mark.shared
@pytest.mark.parametrize(
    ("sigma", "radii", "published"),
    [  # analysis of the same logs by Salman et al. (2019), smoothing-adversarial
        ("0.25", (0.0, 0.25, 0.5, 0.75, 1.0), (0.7665, 0.6116, 0.4225, 0.2506, 0.0)),
        (
            "0.5",
            (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0),
            (0.6568, 0.5491, 0.4279, 0.3245, 0.2197, 0.1412, 0.0826, 0.0394, 0.0),
        ),
        ("1.0", (0.0, 0.25, 0.5, 0.75, 1.0, 2.0), (0.4715, 0.4094, 0.3377, 0.2768, 0.2213, 0.0663)),
    ],
)
def test_published_logs_have_the_published_certified_accuracy(
    sigma: str, radii: tuple[float, ...], published: tuple[float, ...]
) -> None:
    summary = summarise(_published_run("cohen", sigma), radii)
    assert [point.images for point in summary.certified_at] == [round(share * 10_000) for share in published]


# marks


def test_clean_run_carries_no_mark() -> None:
    assert summarise(mixed_run([1.0])).marks == ()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("seed_given", True, "seed given: it was chosen by hand"),
        ("parity_reduced", True, "parity reduced"),
        ("gated", False, "not gated: no export gate measured onnxruntime in fp32"),
        ("backend.executed_precision", "fp16", "executed precision: fp16, where the plan says fp32"),
        ("backend.placement", "static", "not row-invariant: certified image after image, in batches of 64"),
        ("backend.probed", "labels", "rows checked by labels only"),
        ("backend.probe_rows", 64, "row check reduced: 64 rows"),
        ("backend.trusted", True, "not checked: cached programs"),
        ("data.quantised", True, "quantised data"),
        ("data.images", 9, "incomplete: 1 of 9 images are finished"),
    ],
)
def test_each_weakness_is_marked(field: str, value: object, words: str) -> None:
    run = mixed_run([1.0])
    part, _, name = field.rpartition(".")
    changed = {name: value} if not part else {part: replace(getattr(run.record, part), **{name: value})}
    summary = summarise(replace(run, record=replace(run.record, **changed)))
    assert len(summary.marks) == 1
    assert summary.marks[0].startswith(words)
    assert f"mixed: {words}" in table([summary])


# table


@settings(deadline=None)
@given(right=st.integers(0, 300), abstained=st.integers(0, 300))
def test_printed_shares_are_rounded_down_to_a_thousandth(right: int, abstained: int) -> None:
    summary = summarise(mixed_run([0.5] * right, wrong=[0.5], abstained=abstained), (0.5,))
    cells = _cells(table([summary]))[0]
    for column, part in (("r >= 0.5", right), ("abstained", abstained)):
        printed, exact = Fraction(cells[column].removesuffix(" %")), Fraction(100 * part, summary.images)
        assert printed <= exact < printed + Fraction(1, 10)


def test_table_has_a_line_a_run_and_radii_rounded_down() -> None:
    runs = [
        written_run(Path(f"run-{sigma}"), [certified_row(0, 0.99999)], written_record(1, sigma=sigma, n=10_000))
        for sigma in (0.25, 0.5)
    ]
    cells = _cells(table([summarise(run, (0.0, 0.75, 1.0)) for run in runs]))
    assert [(row["run"], row["sigma"], row["n"]) for row in cells] == [
        ("run-0.25", "0.25", "10000"),
        ("run-0.5", "0.5", "10000"),
    ]
    assert {row["avg radius"] for row in cells} == {"0.9999"}
    assert [cells[0][f"r >= {radius}"] for radius in ("0", "0.75", "1")] == ["100.0 %", "100.0 %", "0.0 %"]


def test_radius_that_a_run_was_not_asked_for_stays_open() -> None:
    summaries = [summarise(mixed_run([1.0]), (0.5,)), summarise(mixed_run([1.0]), (0.75,))]
    cells = _cells(table(summaries))
    assert [row["r >= 0.75"] for row in cells] == ["-", "100.0 %"]


def test_table_says_what_the_failure_probabilities_add_up_to() -> None:
    text = table([_many(500), _many(500)])
    # 1 - 0.999^500 = 0.39362..., rounded up; two runs by the union bound.
    assert "at most 0.500 false certificates are expected, and the probability of any at all is at most 0.394" in text
    assert "all runs: the probability of any false claim at all is at most 0.788" in text
    assert "to report the best run at each radius is to select on these images" in text


_CHOICE = "to report the best run at each radius is to select on these images"


@pytest.mark.parametrize(
    ("name", "fingerprint", "first", "is_shared"),
    [
        ("digits:test", "f" * 64, 0, True),  # the same images
        ("cifar10:test", "f" * 64, 9, True),  # the same by their pixels
        ("digits:test", "e" * 64, 2, True),  # two slices that overlap
        ("digits:test", "e" * 64, 3, False),
        ("cifar10:test", "e" * 64, 0, False),
    ],
)
def test_the_note_on_the_best_run_stands_where_runs_share_images(
    name: str, fingerprint: str, first: int, is_shared: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    run = mixed_run([0.5] * 3)
    data = replace(run.record.data, name=name, fingerprint=fingerprint)
    lines = tuple(replace(line, index=first + place) for place, line in enumerate(run.lines))
    print_report([run, replace(run, record=replace(run.record, data=data), lines=lines)], (0.5,), as_json=False)
    assert (_CHOICE in capsys.readouterr().out) == is_shared


def test_a_folder_named_like_a_line_of_a_report_forges_none() -> None:
    text = table([summarise(replace(mixed_run([0.5]), directory=Path("x\n- all runs: verified")))])
    assert "\n- all runs: verified" not in text


def test_predictions_have_a_table_of_their_own() -> None:
    rows = [outcome_row(0, Prediction(predicted=0, p_value=1e-9)), outcome_row(1, Abstention())]
    predicted = summarise(written_run(Path("predicted"), rows, written_record(2, mode="predict")))
    cells = _cells(table([summarise(mixed_run([1.0])), predicted]))
    assert [row["run"] for row in cells] == ["mixed", "predicted"]
    assert (cells[1]["accuracy"], cells[1]["abstained"]) == ("50.0 %", "50.0 %")


def test_json_holds_the_summary() -> None:
    summary = summarise(mixed_run([0.4], abstained=1), (0.25,))
    value = json.loads(summary_json(summary))
    assert "\n" not in summary_json(summary)
    assert value["certified_at"] == [{"radius": 0.25, "images": 1, "images_at_least": 0, "is_settled": True}]
    assert (value["abstained"], value["average_radius"]) == (1, 0.2)


def _many(images: int) -> Summary:
    return summarise(mixed_run([0.5] * images))


def _cells(text: str) -> list[dict[str, str]]:
    """Return the rows of every table in ``text``, column -> cell, but for those of what is left at least."""
    rows = []
    for block in text.split("\n\n"):
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if line[0] == "|"]
        rows += [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]
    return [row for row in rows if row["run"] != AT_LEAST]


def _published_run(method: str, sigma: str) -> Run:
    log = shared(f"data/logs/catrs/cifar10/noise_{sigma}/{method}/noise_{sigma}.tsv")
    rows = [
        Line(
            index=read.index,
            label=read.label,
            outcome=Abstention()
            if read.predicted is None or read.radius is None
            else Certificate(predicted=read.predicted, p_lower=0.9, radius=read.radius),
            counts=({}, {}),
        )
        for read in read_cohen_tsv(log).rows
    ]
    return written_run(Path(method), rows, written_record(len(rows), sigma=float(sigma)))
