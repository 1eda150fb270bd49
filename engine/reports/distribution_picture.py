"""Empirical distributions of p_lower and of radii, drawn as the step functions that they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from purecert.engine.errors import printable
from purecert.engine.records.run import Run
from purecert.engine.reports.chart_style import COLOURS, LINES, check_free, write_chart
from purecert.engine.reports.distribution import has_average, label_bounds, right_radii

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DISTRIBUTION_STEM = "distribution"

_SIZE_INCHES = (8.4, 3.2)
_DOTS_PER_INCH = 160
_LONGEST_NAME = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """What is drawn as one line: the values of all images."""

    name: str
    p_lower: Sequence[float]
    radii: Sequence[float]  # [0, 1] pixel units; 0 where wrong or abstained


def series_of(runs: Sequence[Run]) -> list[Series]:
    """Return a line for each run that has an average radius: of labelled images, not stopped at listed radii."""
    return [
        Series(
            name=f"{printable(run.directory.resolve().name)[:_LONGEST_NAME]} (sigma {run.record.spec.sigma})",
            p_lower=label_bounds(run.record, run.lines),
            radii=right_radii(run.lines),
        )
        for run in runs
        if run.lines and all(line.label is not None for line in run.lines) and has_average(run.record)
    ]


def distribution_paths(directory: Path, stem: str) -> list[Path]:
    """Return where the drawings go."""
    return [directory / f"{stem}.png", directory / f"{stem}.svg"]


def plot_distributions(series: Sequence[Series], directory: Path, stem: str, *, force: bool) -> list[Path]:
    """Draw ``series`` into ``directory`` as STEM.png and STEM.svg and return their paths; nothing where it is empty.

    Raises:
        InputError: A file is there already and ``force`` does not replace it.
        BackendError: Matplotlib is not installed.
    """
    if not series:
        return []
    paths = distribution_paths(directory, stem)
    for path in paths:
        check_free(path, force=force)
    write_chart(lambda: _draw(series), *paths)
    return paths


def _draw(series: Sequence[Series]) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for number, one in enumerate(series):
        style: dict[str, Any] = {
            "color": COLOURS[number % len(COLOURS)],
            "linestyle": LINES[number // len(COLOURS) % len(LINES)],
        }
        _step(left, one.p_lower, 1.0, one.name, style)
        _step(right, one.radii, max(max(each.radii) for each in series), one.name, style)
    left.set_xlabel("p_lower of the right class")
    right.set_xlabel("certified L2 radius (pixels in [0, 1]; 0: none)")
    left.set_ylabel("share of the images up to it (%)")
    figure.suptitle("Distribution over the images: what an average radius hides", x=0.01, ha="left", fontsize=9)
    right.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False)
    return figure


def _step(axes: "Axes", values: Sequence[float], end: float, name: str, style: dict[str, Any]) -> None:
    ordered = np.sort(np.asarray(values, np.float64))
    share = 100 * np.arange(len(ordered) + 1) / len(ordered)
    where = np.concatenate([[0.0], ordered, [max(end, float(ordered[-1]))]])
    axes.step(where, np.append(share, 100.0), where="post", linewidth=1.6, label=name, **style)
    axes.set_ylim(0, 103)
