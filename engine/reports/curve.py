"""Certified accuracy against the radius, drawn as the step function that it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError, printable
from purecert.engine.procedures.spec import StopSpec
from purecert.engine.procedures.tables.rule import stop_rule
from purecert.engine.records.run import Run
from purecert.engine.reports.chart_style import COLOURS, LINES, check_free, write_chart
from purecert.engine.reports.summary import correct_radii
from purecert.engine.reports.text import reaches
from purecert.engine.statistics.bounds import certified_radius, clopper_pearson_lower

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PNG_FILE, SVG_FILE = "certified-accuracy.png", "certified-accuracy.svg"

_TITLE = "Certified accuracy with exact pointwise 95 % bands. Dashed: the largest radius that n draws can certify"
_GREY = "#6b6b6b"
_BAND_ALPHA = 0.05  # of the two-sided pointwise band, that is 95 %
_LONGEST_NAME = 32  # of a run in the drawing, where it must leave room for the curves
_SIZE_INCHES = (8.4, 4.2)
_DOTS_PER_INCH = 160


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curve:
    """Certified accuracy as a step function: ``share[i]`` holds for radii in (radius[i], radius[i + 1]]."""

    name: str
    radius: NDArray[np.float64]  # from 0 to the largest attainable, in [0, 1] pixel units
    share: NDArray[np.float64]  # per cent of the images
    lower: NDArray[np.float64]  # exact pointwise 95 % band on the share among all images like these
    upper: NDArray[np.float64]
    attainable: str  # what the largest attainable radius follows from


def plot(runs: Sequence[Run], directory: Path, *, force: bool = False) -> tuple[Path, Path]:
    """Draw the runs into ``directory`` and return the paths of the PNG and the SVG; the same runs give the same bytes.

    Raises:
        InputError: A run has nothing to draw, or a file is there already and ``force`` does not replace it.
        BackendError: Matplotlib is not installed.
    """
    curves = [curve_of(run) for run in runs]
    paths = directory / PNG_FILE, directory / SVG_FILE
    for path in paths:
        check_free(path, force=force, what="plot")
    write_chart(lambda: _draw(curves), *paths)
    return paths


def curve_of(run: Run) -> Curve:
    """Return the curve of a certification run.

    Raises:
        InputError: The run predicts, or has no finished and labelled image.
    """
    record, name, images = run.record, printable(run.directory.resolve().name), len(run.lines)
    if record.spec.mode != "certify":
        raise InputError(
            f"{run.directory}: expected a run of engine-certify, found one of engine-predict; leave it out"
        )
    if not images or any(line.label is None for line in run.lines):
        raise InputError(
            f"{run.directory}: expected finished images with labels, found none; finish it or leave it out"
        )
    radii = _drawn_radii(run)
    p_lower = stop_rule(record.spec, record.tv).most
    certified = np.append(np.arange(len(radii), -1, -1), 0)
    return Curve(
        name=f"{_shorten(name)} (sigma {record.spec.sigma}{_listed_note(record.spec.stop)})",
        radius=np.array([0.0, *radii, float(certified_radius(record.spec.sigma, p_lower))]),
        share=100 * certified / images,
        lower=100 * clopper_pearson_lower(certified, images, _BAND_ALPHA / 2),
        # The images that are not certified bound the share from above.
        upper=100 * (1 - clopper_pearson_lower(images - certified, images, _BAND_ALPHA / 2)),
        attainable=f"sigma {record.spec.sigma}, n {record.spec.n_estimate:,}",
    )


def _drawn_radii(run: Run) -> list[float]:
    """Return the certified radii of right images, each down to one that the run stops at, where it lists them.

    Between those a radius only says where its draws stopped, so the curve has no steps there.
    """
    stop, radii = run.record.spec.stop, correct_radii(run.lines)
    if stop is None or stop.rule != "radii":
        return radii
    return [max((listed for listed in stop.radii if reaches(radius, listed)), default=0.0) for radius in radii]


def _listed_note(stop: StopSpec | None) -> str:
    return ", at listed radii" if stop is not None and stop.rule == "radii" else ""


def _shorten(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME // 2] + "..." + name[3 - _LONGEST_NAME // 2 :]


def _draw(curves: Sequence[Curve]) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel("certified L2 radius (pixels in [0, 1])")
    axes.set_ylabel("certified accuracy (% of images)")
    axes.set_xlim(0, 1.03 * max(curve.radius[-1] for curve in curves))
    axes.set_ylim(0, 103)  # so that a line at 100 shows in full
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.suptitle(_TITLE, x=0.01, ha="left", fontsize=9)
    _draw_attainable(axes, curves)
    for number, curve in enumerate(curves):
        _draw_curve(axes, curve, number)
    # Beside the axes: inside there is no corner that every set of curves leaves free.
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False)
    return figure


def _draw_curve(axes: "Axes", curve: Curve, number: int) -> None:
    colour, line = COLOURS[number % len(COLOURS)], LINES[number // len(COLOURS) % len(LINES)]
    axes.fill_between(curve.radius, curve.lower, curve.upper, step="post", color=colour, alpha=0.10, linewidth=0)
    axes.step(curve.radius, curve.share, where="post", color=colour, linestyle=line, linewidth=1.6, label=curve.name)


def _draw_attainable(axes: "Axes", curves: Sequence[Curve]) -> None:
    for radius, attainable in {float(curve.radius[-1]): curve.attainable for curve in curves}.items():
        axes.axvline(radius, color=_GREY, linestyle=(0, (4, 3)), linewidth=0.9)
        axes.annotate(
            attainable,
            (radius, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-3, -2),
            textcoords="offset points",
            rotation=90,
            ha="right",
            va="top",
            fontsize=8,
            color=_GREY,
        )
