"""Drawings: the step function, its band, names with room, and the same bytes twice."""

import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import mpmath
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from purecert.engine.errors import BackendError, InputError
from purecert.engine.procedures.outcomes import Abstention
from purecert.engine.records.run import Run
from purecert.engine.reports.curve import curve_of, plot
from support.written_runs import certified_row, mixed_run, outcome_row, written_record, written_run


@settings(deadline=None)
@given(radii=st.lists(st.floats(0.01, 1.9), max_size=15), wrong=st.integers(0, 3), at=st.floats(0.001, 1.9))
def test_curve_is_the_step_function_of_the_radii(radii: list[float], wrong: int, at: float) -> None:
    run = mixed_run(radii, wrong=[1.0] * wrong, abstained=1)
    curve = curve_of(run)
    assert np.all(np.diff(curve.radius) >= 0)
    for radius in (at, *radii):
        # share[i] holds on (radius[i], radius[i + 1]]
        share = curve.share[np.searchsorted(curve.radius, radius, side="left") - 1]
        assert share == pytest.approx(100 * sum(reached >= radius for reached in radii) / len(run.lines))


def test_band_is_the_exact_interval() -> None:
    run = mixed_run([0.1, 0.2, 0.3, 0.4], wrong=[0.5], abstained=3)
    curve = curve_of(run)
    for position, certified in enumerate([4, 3, 2, 1, 0, 0]):
        interval = stats.binomtest(certified, 8).proportion_ci(0.95, method="exact")
        assert curve.lower[position] == pytest.approx(100 * interval.low, rel=1e-9)
        assert curve.upper[position] == pytest.approx(100 * interval.high, rel=1e-9)


@pytest.mark.parametrize("n", [1_000, 100_000])
def test_curve_ends_at_the_largest_attainable_radius(n: int) -> None:
    run = written_run(Path("run"), [certified_row(0, 0.1)], written_record(1, sigma=0.25, n=n))
    with mpmath.workdps(30):
        p = mpmath.mpf(1e-3) ** (mpmath.mpf(1) / n)
        exact = float(mpmath.mpf(0.25) * mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1))
    assert exact * (1 - 1e-9) <= curve_of(run).radius[-1] <= exact


def test_drawing_is_a_png_and_an_svg_with_every_name(tmp_path: Path) -> None:
    runs = [_named("cohen", [0.2, 0.5, 0.9]), _named("consistency", [0.3, 1.2])]
    png, svg = plot(runs, tmp_path / "out")
    assert (png.name, svg.name) == ("certified-accuracy.png", "certified-accuracy.svg")
    with PIL.Image.open(png) as image:
        image.load()
        assert image.width > 1000
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    # Text is drawn as outlines; Matplotlib keeps the words as comments.
    written = svg.read_text("utf-8")
    for words in (
        "cohen (sigma 0.5)",
        "consistency (sigma 0.5)",
        "certified accuracy (% of images)",
        "sigma 0.5, n 100,000",
    ):
        assert f"<!-- {words} -->" in written


def test_line_keeps_its_height_up_to_the_radius_it_steps_down_at(tmp_path: Path) -> None:
    png, _ = plot([written_run(Path("run"), [certified_row(0, 1.0)])], tmp_path)
    with PIL.Image.open(png) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    in_axes = pixels[:, : pixels.shape[1] * 7 // 10]  # the key is further right
    is_blue = np.abs(in_axes - (0x00, 0x72, 0xB2)).sum(axis=2) < 30
    top = np.flatnonzero(is_blue.any(axis=1))[0] + 1
    columns = np.flatnonzero(is_blue[top])
    # The axis ends at 1.03 times the largest attainable radius, 0.5 * 3.8115.
    assert np.ptp(columns) == pytest.approx(1.0 / (1.03 * 0.5 * 3.8115) * _axis_pixels(pixels), rel=0.02)
    assert len(columns) > 0.95 * np.ptp(columns)


def test_crowded_curves_get_a_key_with_every_name(tmp_path: Path) -> None:
    runs = [_named(f"run-{number}", [0.1 + 0.01 * number, 0.5, 0.9]) for number in range(16)]
    _, svg = plot(runs, tmp_path)
    written = svg.read_text("utf-8")
    assert [written.count(f"<!-- run-{number} (sigma 0.5) -->") for number in range(16)] == [1] * 16


def test_drawing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    runs = [_named("run", [0.2, 0.5, 0.9])]
    first, second = plot(runs, tmp_path / "a"), plot(runs, tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    with mpl.rc_context({"lines.linewidth": 7.0, "svg.hashsalt": "theirs"}):
        before = dict(mpl.rcParams)
        first = plot([_named("run", [0.5])], tmp_path / "a")
        assert dict(mpl.rcParams) == before
    # Nor does what was set there show.
    second = plot([_named("run", [0.5])], tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_drawing_overwrites_nothing(tmp_path: Path) -> None:
    plot([_named("run", [0.5])], tmp_path)
    with pytest.raises(InputError, match=r"certified-accuracy\.png: a plot is there; choose another --out"):
        plot([_named("run", [0.7])], tmp_path)


def test_run_without_a_curve_is_refused(tmp_path: Path) -> None:
    predicted = written_run(Path("p"), [outcome_row(0, Abstention())], written_record(1, mode="predict"))
    with pytest.raises(InputError, match="expected a run of engine-certify, found one of engine-predict"):
        plot([predicted], tmp_path)
    for rows in ([], [replace(certified_row(0, 1.0), label=None)]):
        with pytest.raises(InputError, match="expected finished images with labels, found none"):
            plot([written_run(Path("p"), rows, written_record(1))], tmp_path)
    assert not list(tmp_path.iterdir())


def test_absent_matplotlib_is_named_with_its_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.style", None)
    with pytest.raises(BackendError, match=r"Matplotlib, which is absent; pip install 'purecert\[report\]'"):
        plot([_named("run", [0.5])], tmp_path)


def _axis_pixels(pixels: NDArray[np.int64]) -> int:
    """Return the length of the horizontal axis: of the longest run of black in any row."""
    is_black = (pixels < 60).all(axis=2)
    return int(is_black.sum(axis=1).max())


def _named(name: str, radii: Sequence[float]) -> Run:
    return replace(mixed_run(radii, abstained=1), directory=Path(name))
