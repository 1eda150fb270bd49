"""Which radii are printed as a text: against Python's own printing."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from purecert.engine.logs.fingerprint import fingerprint
from purecert.engine.logs.printing import PrintFormat, Rounding, candidate_readings


def _rounded(value: float, quantum: float, rounding: Rounding) -> float:
    steps = {"nearest": round, "down": math.floor, "up": math.ceil}[rounding](value / quantum)
    return float(steps * quantum)


@settings(deadline=None)
@given(radius=st.floats(1e-6, 9.9), digits=st.integers(2, 6))
def test_radius_lies_in_the_interval_of_its_own_text(radius: float, digits: int) -> None:
    texts = {
        PrintFormat(kind="significant", digits=digits, rounding="nearest"): f"{radius:.{digits}}",
        PrintFormat(kind="fixed", digits=digits, rounding="nearest"): f"{radius:.{digits}f}",
        PrintFormat(kind="shortened", digits=digits, rounding="nearest"): repr(round(radius, digits)),
        PrintFormat(kind="full", digits=17, rounding="nearest"): repr(radius),
    }
    for form, text in texts.items():
        assert form.prints(text)
        low, high = form.interval(text)
        assert low - 1e-15 <= radius <= high + 1e-15, (form, text)


@settings(deadline=None)
@given(radius=st.floats(0.001, 9.9), digits=st.integers(2, 6), rounding=st.sampled_from(["down", "up"]))
def test_radius_rounded_one_way_lies_on_that_side(radius: float, digits: int, rounding: Rounding) -> None:
    quantum = 10.0**-digits
    assume(abs(radius / quantum - round(radius / quantum)) > 1e-6)
    text = f"{_rounded(radius, quantum, rounding):.{digits}f}"
    low, high = PrintFormat(kind="fixed", digits=digits, rounding=rounding).interval(text)
    assert low <= radius <= high
    assert high - low == pytest.approx(quantum)
    assert (low if rounding == "down" else high) == float(text)


@pytest.mark.parametrize(
    ("text", "interval"),
    [("0.377", (0.3765, 0.3775)), ("1.91", (1.905, 1.915)), ("1.0", (0.9995, 1.005)), ("0.1", (0.09995, 0.1005))],
)
def test_three_significant_digits_reach_further_below_a_power_of_ten(text: str, interval: tuple[float, float]) -> None:
    form = PrintFormat(kind="significant", digits=3, rounding="nearest")
    assert form.interval(text) == pytest.approx(interval, abs=1e-15)


@pytest.mark.parametrize("kind", ["significant", "fixed"])
@pytest.mark.parametrize("rounding", ["nearest", "down", "up"])
def test_room_of_possible_texts_is_that_of_the_set_of_texts(kind: str, rounding: Rounding) -> None:
    radii = np.sort(np.random.default_rng(0).uniform(0.011, 3, 3000))
    form = PrintFormat(kind=kind, digits=3, rounding=rounding)  # type: ignore[arg-type]  # a parameter is a str
    room: dict[float, float] = {}
    for radius in radii:
        decimals = 3 - 1 - math.floor(math.log10(radius)) if kind == "significant" else 3
        quantum = 10.0**-decimals
        room.setdefault(round(_rounded(float(radius), quantum, rounding), 9), quantum)
    values, widths = form.possible_texts(radii, 0.0)
    assert values == pytest.approx(sorted(room), rel=1e-9)
    assert widths == pytest.approx([room[value] for value in sorted(room)], rel=1e-9)


@pytest.mark.parametrize("kind", ["significant", "fixed"])
@pytest.mark.parametrize("rounding", ["nearest", "down", "up"])
def test_no_text_of_counts_that_are_close_is_passed_over(kind: str, rounding: Rounding) -> None:
    radii = fingerprint(10_000, 1e-3).radii(0.25)[20:]
    form = PrintFormat(kind=kind, digits=3, rounding=rounding)  # type: ignore[arg-type]  # a parameter is a str
    values = form.possible_texts(radii, 0.0)[0]
    decimals = [3 - 1 - math.floor(math.log10(radius)) if kind == "significant" else 3 for radius in radii]
    one_by_one = {
        round(_rounded(float(radius), 10.0**-places, rounding), 9)
        for radius, places in zip(radii, decimals, strict=True)
    }
    assert values == pytest.approx(sorted(one_by_one), rel=1e-9)


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["0.377", "0.46", "0.00135", "1.91"], {"{:.3}"}),
        (["0.37712", "0.46000", "0.00135", "1.91234"], {"{:.5f}"}),
        (["0.3771", "0.46", "0.0013", "1.9123"], {"round(radius, 4)"}),
        (["0.37712345678901234", "0.46123456789012345"], {"all digits"}),
    ],
)
def test_digits_tell_the_format(texts: list[str], names: set[str]) -> None:
    written = [repr(float(text)) if len(text) > 12 else text for text in texts]
    nearest = {str(form) for reading in candidate_readings(Counter(written)) for form in reading.formats}
    assert {name for name in nearest if "rounded" not in name} >= names


def test_texts_that_no_program_prints_have_no_reading() -> None:
    assert candidate_readings({}) == []
    assert candidate_readings({"1_0": 1, "٣": 2, "1e-999999999999": 3, "0" * 99: 4}) == []


def test_formats_with_equal_intervals_are_one_reading() -> None:
    readings = candidate_readings({"0.377": 1, "0.461": 1})
    assert [len(reading.formats) for reading in readings] == [3, 3, 3]
