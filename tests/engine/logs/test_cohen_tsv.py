"""Cohen's log: round trips, every variation that published logs have, and what those logs must give."""

import re
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from purecert.engine.errors import InputError
from purecert.engine.logs.cohen_tsv import CohenRow, format_cohen_tsv, parse_cohen_tsv, read_cohen_tsv, write_cohen_tsv
from purecert.engine.procedures.outcomes import Abstention, Certificate, Prediction
from purecert.engine.records.lines import Line
from purecert.engine.records.run import read_form
from support.records import begun
from support.shared_files import shared
from support.written_runs import written_record, written_run

# Index, label, predicted class, and radius, None for an abstention.
_ends = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 999), st.integers(0, 999), st.none() | st.floats(0, 4))
_HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
_ROW = CohenRow(index=20, label=3, predicted=3, radius=0.377, printed="0.377", correct=True, seconds=14.172309)


# out


@settings(deadline=None)
@given(ends=st.lists(_ends, max_size=5, unique_by=lambda end: end[0]), seconds=st.floats(0, 1e6))
def test_written_log_reads_back_with_radii_that_claim_no_more(
    ends: list[tuple[int, int, int, float | None]], seconds: float
) -> None:
    rows = [_row(*end) for end in ends]
    log = parse_cohen_tsv(format_cohen_tsv(rows, {row.index: seconds for row in rows}), "log")
    assert [(read.index, read.label, read.correct) for read in log.rows] == [
        (r.index, r.label, r.correct) for r in rows
    ]
    for row, read in zip(rows, log.rows, strict=True):
        assert read.seconds == pytest.approx(seconds, abs=1e-6)
        assert read.radius is not None
        if isinstance(row.outcome, Certificate):
            assert read.predicted == row.outcome.predicted
            # Of the text: 0.3 as printed is more than the double 0.3.
            printed, exact = Fraction(repr(read.radius)), Fraction(row.outcome.radius)
            assert printed <= exact < printed + Fraction(1, 10_000)
        else:
            assert (read.predicted, read.radius, read.correct) == (None, 0.0, False)


def test_log_has_cohens_columns_and_marks() -> None:
    rows = [
        Line(index=0, label=3, outcome=Certificate(predicted=3, p_lower=0.9, radius=0.37799), counts=({}, {})),
        Line(index=20, label=8, outcome=Abstention(), counts=({}, {})),
    ]
    assert format_cohen_tsv(rows, {0: 3661.5}) == (
        "idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t3\t3\t0.3779\t1\t1:01:01.500000\n20\t8\t-1\t0.0\t0\t\n"
    )


def test_log_of_predictions_has_no_radius() -> None:
    rows = [Line(index=4, label=1, outcome=Prediction(predicted=2, p_value=1e-9), counts=({},))]
    text = format_cohen_tsv(rows, {4: 0.25}, radii=False)
    assert text == "idx\tlabel\tpredict\tcorrect\ttime\n4\t1\t2\t0\t0:00:00.250000\n"
    assert parse_cohen_tsv(text, "log").rows[0].radius is None


def test_unlabelled_image_is_refused() -> None:
    with pytest.raises(InputError, match="image 7: expected a label, since Cohen's format needs one"):
        format_cohen_tsv([Line(index=7, label=None, outcome=Abstention(), counts=())], {})


def test_log_of_a_run_directory_takes_its_times(tmp_path: Path) -> None:
    rows = [
        Line(index=index, label=3, outcome=Certificate(predicted=3, p_lower=0.9, radius=0.5), counts=({}, {"3": 9}))
        for index in (0, 20, 40)
    ]
    with begun(tmp_path, written_record(3)) as ledger:
        for number, row in enumerate(rows):
            ledger.append(row, 1.5 + number)
    timings = tmp_path / "timings.jsonl"
    torn = timings.read_text().splitlines(keepends=True)
    timings.write_text(torn[0] + torn[1][:9] + torn[2])  # as a crash and a resume leave it
    for nonsense in ('{"index":0,"seconds":Infinity}', '{"index":0,"seconds":1e999}', "[" * 100_000):
        timings.write_text(timings.read_text() + nonsense + "\n")
    timings.write_text(timings.read_text() + f'{{"index":0,"seconds":{10**400}}}\n')
    log = read_cohen_tsv(write_cohen_tsv(read_form(tmp_path)))
    assert [row.seconds for row in log.rows] == [1.5, None, None]
    assert [row.index for row in log.rows] == [0, 20, 40]


def test_log_of_a_run_without_times_is_written(tmp_path: Path) -> None:
    run = written_run(tmp_path, [Line(index=1, label=0, outcome=Abstention(), counts=({}, {}))])
    assert [row.seconds for row in read_cohen_tsv(write_cohen_tsv(run)).rows] == [None]


# in


@pytest.mark.parametrize(
    ("text", "row"),
    [
        (_HEADER + "20\t3\t3\t0.377\t1\t0:00:14.172309\n", _ROW),
        ("20\t3\t3\t0.377\t1\t0:00:14.172309\n", _ROW),
        ("3\t3\t0.377\t1\t0:00:14.172309\n", replace(_ROW, index=0)),  # rRCM: neither header nor index
        ("label\tpredict\tradius\tcorrect\ttime\n3 \t3 \t0.377 \t1 \t14.172309\n", replace(_ROW, index=0)),
        (_HEADER + "  20 \t 3 \t 3 \t 0.377 \t 1 \t 0:00:14.172309  \n", _ROW),
        (_HEADER.replace("\t", "   ") + "20   3  3  0.377  True   0:00:14.172309\n", _ROW),
        ("time\tnote\tcorrect\tidx\tradius\tpredict\tlabel\n14.172309\tx\t1\t20\t0.377\t3\t3\n", _ROW),
        (_HEADER + "20\t3\t3\t0.377\t1\t0:00:14.172309\t\t\n", _ROW),
        (_HEADER + "\n20\t3\t3\t0.377\t1\t0:00:14.172309\n\n", _ROW),
        (_HEADER.replace("\n", "\r\n") + "20\t3\t3\t0.377\t1\t0:00:14.172309\r\n", _ROW),
        (_HEADER + "20\t3\t3\t0.377\t1\t0:00:14.172309", _ROW),
        (_HEADER + "20\t3\t5\t0.377\tFalse\t15.4\n", replace(_ROW, predicted=5, correct=False, seconds=15.4)),
        (
            _HEADER + "20\t3\t-1\t0.0\t0\t1:02:03\n",
            replace(_ROW, predicted=None, radius=0.0, printed="0.0", correct=False, seconds=3723.0),
        ),
        (_HEADER + "20\t3\t3\t0.377\t1\t1 day, 0:00:01.5\n", replace(_ROW, seconds=86_401.5)),
        (_HEADER + "20\t3\t3\t0.377\t1\t\n", replace(_ROW, seconds=None)),
        ("idx\tlabel\tpredict\tradius\tcorrect\n20\t3\t3\t0.377\t1\n", replace(_ROW, seconds=None)),
        ("idx\tlabel\tpredict\tcorrect\ttime\n20\t3\t3\t1\t14.172309\n", replace(_ROW, radius=None, printed=None)),
    ],
)
def test_variation_of_the_format_is_read(text: str, row: CohenRow) -> None:
    log = parse_cohen_tsv(text, "log")
    assert log.rows == (row,)
    assert not log.cut_short


@pytest.mark.parametrize("text", ["", "\n", _HEADER])
def test_log_without_lines_has_no_rows(text: str) -> None:
    log = parse_cohen_tsv(text, "log")
    assert (log.rows, log.cut_short) == ((), False)


def test_line_that_broke_off_is_left_out_and_told() -> None:
    last = "40\t3\t3\t0.4"
    for kept in range(1, len(last) + 1):
        log = parse_cohen_tsv(_HEADER + "20\t3\t3\t0.377\t1\t0:00:14.172309\n" + last[:kept], "log")
        assert log.rows == (_ROW,)
        assert log.cut_short


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("20\t3\t3\t0.377\t1\n", "expected 6 columns, found 5"),
        ("x\t3\t3\t0.377\t1\t1.0\n", "expected an integer under idx, found 'x'"),
        ("20\t\t3\t0.377\t1\t1.0\n", "expected an integer under label, found ''"),
        ("20\t3\t3.0\t0.377\t1\t1.0\n", "expected an integer under predict, found '3.0'"),
        ("20\t3\t-2\t0.377\t1\t1.0\n", "expected a class or -1 under predict, found -2"),
        ("20\t3\t3\tmuch\t1\t1.0\n", "expected a radius in [0, 1e+06], found 'much'"),
        ("20\t3\t3\t-0.1\t1\t1.0\n", "expected a radius in [0, 1e+06], found '-0.1'"),
        ("20\t3\t3\tnan\t1\t1.0\n", "expected a radius in [0, 1e+06], found 'nan'"),
        ("20\t3\t3\tinf\t1\t1.0\n", "expected a radius in [0, 1e+06], found 'inf'"),
        ("20\t3\t3\t0.377\tyes\t1.0\n", "expected 0, 1, False or True under correct, found 'yes'"),
        ("20\t3\t3\t0.377\t1\tlong\n", "expected a time as h:mm:ss.ffffff or in seconds, found 'long'"),
        ("20\t3\t3\t0.377\t1\t-1\n", "expected a time as h:mm:ss.ffffff or in seconds, found '-1'"),
    ],
)
def test_line_of_another_form_is_refused_with_its_number(line: str, words: str) -> None:
    with pytest.raises(InputError, match=r"^log:3: " + re.escape(words)):
        parse_cohen_tsv(_HEADER + "20\t3\t3\t0.377\t1\t1.0\n" + line, "log")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("just some words\n", "log:1: expected a header, or lines of 5 or 6 columns"),
        ("idx\tlabel\tpredict\ttime\n", "log:1: expected a header with idx, label, predict, radius, correct, time"),
    ],
)
def test_text_that_is_no_log_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_cohen_tsv(text, "log")


def test_file_that_is_no_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a log in Cohen's format, found no file"):
        read_cohen_tsv(tmp_path / "absent")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="expected a log in Cohen's format, found no text"):
        read_cohen_tsv(tmp_path / "bytes")


@settings(deadline=None)
@given(st.text(alphabet="0123456789.-:\t \nTrueFalseidxpredictlabelcorrectradiustime\x00é", max_size=120))
def test_any_text_is_a_log_or_an_input_error(text: str) -> None:
    message = ""
    try:
        parse_cohen_tsv(text, "log")
    except InputError as error:
        message = str(error)
    assert re.fullmatch(r"|log:\d+: expected .*", message)


# published logs


_read = cache(read_cohen_tsv)  # ten thousand lines each


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.shared
def test_every_published_radius_follows_from_an_integer_count() -> None:
    trials, alpha = 100_000, 1e-3
    successes = np.arange(trials // 2, trials + 1)
    quantiles = special.ndtri(special.betaincinv(successes, trials - successes + 1, alpha))
    assert len(_published()) == 12
    for path, sigma in _published():
        possible = {format(sigma * quantile, ".3") for quantile in quantiles if quantile >= 0}
        printed = [line.split("\t")[3] for line in path.read_text().splitlines()[1:]]
        rows = _read(path).rows
        certified = [text for text, row in zip(printed, rows, strict=True) if row.predicted is not None]
        assert len(certified) > 300
        assert set(certified) <= possible, path
        assert {row.radius for row in rows if row.predicted is None} == {0.0}


@pytest.mark.shared
@pytest.mark.parametrize(
    ("method", "average_radii"),
    [("cohen", (0.424, 0.525, 0.511)), ("consistency", (0.552, 0.720, 0.756)), ("cat-rs", (0.562, 0.757, 0.815))],
)
def test_published_logs_have_the_published_average_radius(method: str, average_radii: tuple[float, ...]) -> None:
    for sigma, published in zip(("0.25", "0.5", "1.0"), average_radii, strict=True):
        rows = _read(shared(f"data/logs/catrs/cifar10/noise_{sigma}/{method}/noise_{sigma}.tsv")).rows
        assert len(rows) == 10_000
        average = sum(row.radius for row in rows if row.correct and row.radius is not None) / len(rows)
        assert average == pytest.approx(published, abs=5e-4)  # published with 3 decimals


@pytest.mark.parametrize("end", ["0:00", "0:00:0", "0:"])
def test_a_last_line_that_broke_off_inside_the_time_is_left_out(end: str) -> None:
    text = f"idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t3\t3\t0.377\t1\t0:00:01.5\n1\t3\t3\t0.377\t1\t{end}"
    log = parse_cohen_tsv(text, "log")
    assert log.cut_short
    assert [row.index for row in log.rows] == [0]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "log.tsv"
    path.write_text("\ufeffidx\tlabel\tpredict\tradius\tcorrect\ttime\n10\t3\t3\t0.377\t1\t1.5\n", "utf-8")
    assert [row.index for row in read_cohen_tsv(path).rows] == [10]


@pytest.mark.shared
def test_run_cut_short_is_read_as_far_as_it_goes() -> None:
    rows = read_cohen_tsv(shared("data/logs/consistency/cifar10/truncated_noise_0.50_1149")).rows
    assert [row.index for row in rows] == list(range(9))


def _row(index: int, label: int, predicted: int, radius: float | None) -> Line:
    outcome = Abstention() if radius is None else Certificate(predicted=predicted, p_lower=0.9, radius=radius)
    return Line(index=index, label=label, outcome=outcome, counts=({}, {}))


def _published() -> list[tuple[Path, float]]:
    logs = shared("data/logs")
    return [
        (path, float(re.findall(r"noise_([0-9.]+)", path.name)[0].rstrip(".")))
        for path in sorted([*logs.glob("catrs/**/*.tsv"), *logs.glob("consistency/imagenet/noise_*")])
    ]
