"""What stands beside an average radius: quantiles, counts and drawings, against other programs and by hand."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from purecert.engine.errors import InputError
from purecert.engine.procedures.outcomes import Abstention
from purecert.engine.procedures.spec import StopSpec
from purecert.engine.records.lines import Line
from purecert.engine.reports.distribution import QUANTILES, distributions, label_bounds
from purecert.engine.reports.distribution_picture import plot_distributions, series_of
from purecert.engine.reports.summary import summarise
from purecert.engine.reports.table import table
from support.records import with_spec
from support.written_runs import certified_row, mixed_run, written_record, written_run


@settings(deadline=None)
@given(radii=st.lists(st.floats(0, 1e300, allow_subnormal=False), min_size=1, max_size=60), sigma=st.floats(0.01, 10))
def test_quantiles_are_values_of_images_and_counts_are_of_all(radii: list[float], sigma: float) -> None:
    found = distributions(None, radii, sigma).radius
    assert found.zeros == radii.count(0.0)
    assert sum(found.counts) == len(radii)
    assert len(found.edges) == len(found.counts) + 1 <= 201
    expected, _ = np.histogram(radii, found.edges)
    assert found.counts == tuple(expected)
    for quantile in found.quantiles:
        assert quantile.value in radii
        # The least value that at least such a share of the images does not exceed.
        assert sum(r <= quantile.value for r in radii) >= quantile.share * len(radii) - 1e-6
        assert sum(r < quantile.value for r in radii) < quantile.share * len(radii) + 1e-6


def test_bounds_are_of_the_label_whichever_class_was_picked() -> None:
    """An image whose draws show its label 300 of 1,000 times is no zero, though it abstains or claims another class."""
    n, alpha = 1000, 1e-3
    shown = (1000, 300, 0)
    lines = [
        Line(index=i, label=0, outcome=Abstention(), counts=({"1": 100}, {"0": k, "1": n - k} if k else {"1": n}))
        for i, k in enumerate(shown)
    ]
    record = written_record(3, n=n, alpha=alpha)
    exact = [float(stats.beta.ppf(alpha, k, n - k + 1)) if k else 0.0 for k in shown]
    assert label_bounds(record, lines) == pytest.approx(exact, rel=1e-9)
    assert all(ours <= bound for ours, bound in zip(label_bounds(record, lines), exact, strict=True))
    found = summarise(written_run(Path("run"), lines, record)).distribution
    assert found is not None
    assert found.p_lower is not None
    assert found.p_lower.zeros == 1


def test_the_distribution_stands_beside_an_average_and_only_there() -> None:
    run = mixed_run([0.1, 0.30009, 0.9], wrong=[0.8], abstained=4)
    summary = summarise(run)
    assert summary.distribution is not None
    assert (summary.distribution.radius.zeros, sum(summary.distribution.radius.counts)) == (5, 8)
    text = table([summary])
    assert "75 % up to 0.1000, 90 % up to 0.9000" in text
    assert "an average radius alone misleads" in text
    stopping = replace(run, record=with_spec(run.record, stop=StopSpec(rule="radii", radii=(0.0, 0.25))))
    assert summarise(stopping).distribution is None
    unlabelled = written_run(Path("run"), [replace(certified_row(0, 1.0), label=None)])
    assert summarise(unlabelled).distribution is None
    assert "misleads" not in table([summarise(unlabelled)])


def test_two_runs_of_one_average_have_distributions_that_differ() -> None:
    """Half of the images at twice the radius, and none of the others: the average of Sun et al.'s objection."""
    even, odd = (summarise(mixed_run(radii)) for radii in ([0.5] * 10, [1.0] * 5 + [0.0] * 5))
    assert even.average_radius == odd.average_radius
    assert even.distribution is not None
    assert odd.distribution is not None
    assert even.distribution.radius.quantiles[0].value == 0.5
    assert odd.distribution.radius.quantiles[0].value == 0.0
    assert [quantile.share for quantile in odd.distribution.radius.quantiles] == list(QUANTILES)


def test_the_drawing_is_a_png_and_an_svg_and_replaces_nothing(tmp_path: Path) -> None:
    stopping = mixed_run([0.5])
    stopping = replace(stopping, record=with_spec(stopping.record, stop=StopSpec(rule="radii", radii=(0.25,))))
    assert series_of([stopping, written_run(Path("none"), [], written_record(3))]) == []
    assert plot_distributions([], tmp_path, "distribution", force=False) == []
    png, svg = plot_distributions(series_of([mixed_run([0.2, 0.9])]), tmp_path, "distribution", force=False)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert "<!-- mixed (sigma 0.5) -->" in svg.read_text("utf-8")
    before = svg.read_bytes()
    with pytest.raises(InputError, match=r"distribution\.png: a file is there"):
        plot_distributions(series_of([mixed_run([0.4])]), tmp_path, "distribution", force=False)
    assert svg.read_bytes() == before
    plot_distributions(series_of([mixed_run([0.2, 0.9])]), tmp_path, "distribution", force=True)
    assert svg.read_bytes() == before
