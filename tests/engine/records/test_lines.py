"""A ledger line is one text, read back only if every character is as it was written."""

import json
import math
import sys
from decimal import localcontext
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from purecert.engine.errors import InputError
from purecert.engine.procedures.outcomes import Abstention, Certificate, Prediction
from purecert.engine.records.lines import INVALID, Line, decode_line, encode_line
from purecert.engine.reports.text import format_radius
from support.records import certified, forged, mixed_rows

_RUN = "0123456789abcdef" * 4

_classes = st.integers(0, 10**6)
_numbers = st.floats(allow_nan=False, allow_infinity=False)
_counts = st.lists(st.dictionaries(_classes.map(str) | st.just(INVALID), st.integers(1, 2**32), max_size=5), max_size=2)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.none() | _classes, st.integers(0, 2), _classes, _numbers, _numbers, _counts)
def test_a_row_reads_back_as_it_was_written(
    index: int, label: int | None, kind: int, predicted: int, p: float, radius: float, counts: list[dict[str, int]]
) -> None:
    outcomes = (
        Certificate(predicted=predicted, p_lower=p, radius=radius),
        Prediction(predicted=predicted, p_value=p),
        Abstention(),
    )
    row = Line(index=index, label=label, outcome=outcomes[kind], counts=tuple(counts))
    line = encode_line(row, _RUN)
    assert "\n" not in line
    assert line.isascii()
    assert decode_line(line, _RUN) == row
    assert encode_line(decode_line(line, _RUN), _RUN) == line


@settings(deadline=None)
@given(st.floats(0, 1e300), st.sampled_from([-math.inf, math.inf]))
def test_a_radius_that_is_off_by_its_last_bit_is_found(radius: float, direction: float) -> None:
    """Each double has a shortest text of its own, so a neighbour never looks the same."""
    row = Line(index=0, label=0, outcome=Certificate(predicted=0, p_lower=0.9, radius=radius), counts=())
    line = encode_line(row, _RUN)
    changed = line.replace(f'"radius":{radius!r}', f'"radius":{math.nextafter(radius, direction)!r}')
    assert changed != line
    with pytest.raises(InputError, match="it was changed"):
        decode_line(changed, _RUN)


@pytest.mark.parametrize("row", mixed_rows(3), ids=["certified", "abstained", "predicted"])
def test_no_character_of_a_line_can_be_replaced(row: Line) -> None:
    line = encode_line(row, _RUN)
    assert decode_line(line, _RUN) == row
    for position, character in enumerate(line):
        for other in {"0", "9", "e", "F", "-", '"', " ", "}", "\x00", "é"} - {character}:
            assert not _reads(line[:position] + other + line[position + 1 :])


def test_no_character_can_be_taken_out_or_put_in() -> None:
    line = encode_line(certified(0), _RUN)
    for position in range(len(line)):
        shorter = line[:position] + line[position + 1 :]
        longer = [line[:position] + other + line[position:] for other in "0 ,9e-"]
        assert not any(_reads(text) for text in (shorter, *longer, line[:position]))


def _reads(line: str) -> bool:
    try:
        decode_line(line, _RUN)
    except InputError:
        return False
    return True


@pytest.mark.parametrize("around", ["{} ", " {}", "{}\r", "{}\n", "﻿{}", "[{}]", "{0}{0}"])
def test_nothing_can_stand_around_a_line(around: str) -> None:
    line = encode_line(certified(0), _RUN)
    with pytest.raises(InputError, match=r"expected a certificate line|it was changed"):
        decode_line(around.replace("{0}", line).replace("{}", line), _RUN)


def test_a_line_of_another_run_is_refused() -> None:
    line = encode_line(certified(5), _RUN)
    for position in range(len(_RUN)):
        other = _RUN[:position] + ("f" if _RUN[position] != "f" else "0") + _RUN[position + 1 :]
        with pytest.raises(InputError, match="line of image 5: its checksum, its run or its form does not match"):
            decode_line(line, other)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('"index":0', '"index":0,"index":0'),
        ('"predicted":3', '"predicted":3.0'),
        ('"p_lower":0.9', '"p_lower":0.90'),
        ('"p_lower":0.9', '"p_lower":9e-1'),
        ('"index":0', '"index":-0'),
        ('"index":0,"label":3', '"label":3,"index":0'),
        ('"label":3', '"\\u006cabel":3'),
        (":", ": "),
    ],
)
def test_another_spelling_of_the_same_values_is_refused(was: str, becomes: str) -> None:
    line = encode_line(certified(0), _RUN)
    changed = line.replace(was, becomes, 1)
    assert changed != line
    with pytest.raises(InputError, match=r"expected a certificate line|it was changed"):
        decode_line(changed, _RUN)


@pytest.mark.parametrize("name", ["index", "label", "predicted", "p_lower", "radius", "counts"])
def test_a_forged_value_of_another_type_is_refused_though_its_checksum_is_right(name: str) -> None:
    for value in ("3", 3.5, True, [3], {"0": 1}, "invalid", 10**400, [{"0": 1.5}], [{"0": True}]):
        _assert_forgery_is_seen(name, value)


def _assert_forgery_is_seen(name: str, value: object) -> None:
    line = forged(encode_line(certified(0), _RUN), **{name: value})
    if type(value) is (float if name in ("p_lower", "radius") else int) and name != "counts":
        assert decode_line(line, _RUN) != certified(0)  # of the right type: only the run's arithmetic can tell
    else:
        with pytest.raises(InputError, match="expected a certificate line"):
            decode_line(line, _RUN)


@pytest.mark.parametrize("name", ["index", "predicted", "p_lower", "radius", "counts", "outcome"])
def test_null_stands_for_a_missing_label_only(name: str) -> None:
    line = encode_line(certified(0), _RUN)
    with pytest.raises(InputError, match="expected a certificate line"):
        decode_line(forged(line, **{name: None}), _RUN)
    assert decode_line(forged(line, label=None), _RUN).label is None


@pytest.mark.parametrize("outcome", ["Certified", "abstained", "predicted", "", ["certified"], {"certified": 1}, 0])
def test_a_forged_outcome_is_refused(outcome: object) -> None:
    with pytest.raises(InputError, match=r"expected a certificate line|it was changed"):
        decode_line(forged(encode_line(certified(0), _RUN), outcome=outcome), _RUN)


@pytest.mark.parametrize("name", ["index", "p_lower", "radius", "predicted", "label"])
def test_a_number_that_no_row_can_hold_is_refused(name: str) -> None:
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "9" * 10_000):
        _assert_number_is_refused(name, number)


def _assert_number_is_refused(name: str, number: str) -> None:
    value = json.loads(encode_line(certified(0), _RUN))[name]
    line = encode_line(certified(0), _RUN).replace(f'"{name}":{value}', f'"{name}":{number}')
    assert number in line
    with pytest.raises(InputError, match="expected a certificate line"):
        decode_line(line, _RUN)


@pytest.mark.parametrize("name", ["label", "outcome", "counts", "index", "extra"])
def test_nesting_of_any_depth_is_refused_and_never_a_traceback(name: str) -> None:
    line = forged(encode_line(certified(0), _RUN), **{name: "HERE"})
    for depth in [1, 10, *range(sys.getrecursionlimit() - 120, sys.getrecursionlimit() + 5), 100_000]:
        assert not _reads(line.replace('"HERE"', "[" * depth + "]" * depth))
        assert not _reads(line.replace('"HERE"', '{"0":' * depth + "1" + "}" * depth))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_radius_that_is_no_number_is_never_written(value: float) -> None:
    row = Line(index=0, label=None, outcome=Certificate(predicted=0, p_lower=0.9, radius=value), counts=())
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_line(row, _RUN)


def test_an_abstention_is_never_correct_and_neither_is_an_answer_without_a_label() -> None:
    assert certified(0, label=3).correct
    assert not certified(0, label=4).correct
    assert not certified(0, label=None).correct
    assert not Line(index=0, label=0, outcome=Abstention(), counts=()).correct
    assert Line(index=0, label=0, outcome=Prediction(predicted=0, p_value=0.0), counts=()).correct


# --- printed radii


_radii = st.floats(min_value=0, allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(_radii, st.integers(0, 20))
@example(0.0, 8)
@example(1e-8, 10)
@example(1.7976931348623157e308, 4)
@example(5e-324, 4)
@example(0.3, 4)
@example(2.0000000000000004, 15)
def test_a_printed_radius_is_the_largest_that_is_not_above_the_radius(radius: float, decimals: int) -> None:
    printed = format_radius(radius, decimals)
    whole, _, digits = printed.partition(".")
    assert whole.isdigit()
    assert len(digits) == decimals
    assert 0 <= Fraction(radius) - Fraction(printed) < Fraction(1, 10**decimals)


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_negative_number_is_rounded_down_too(value: float) -> None:
    assert Fraction(format_radius(value)) <= Fraction(value)


def test_a_printed_radius_does_not_depend_on_the_callers_decimal_context() -> None:
    with localcontext() as context:
        context.prec, context.Emin, context.Emax = 2, -1, 1
        assert format_radius(1.99999) == "1.9999"
        assert format_radius(123456.78905) == "123456.7890"
