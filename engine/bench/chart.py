"""Samples per second of every row as bars: baselines in grey, rows that do not count hatched."""

from pathlib import Path
from typing import TYPE_CHECKING

from purecert.engine.bench.record import Benchmark, MeasuredRow, UnusableRow
from purecert.engine.bench.table import rounded_down
from purecert.engine.reports.chart_style import chart_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito (2008), told apart with every kind of colour vision.
_BLUE, _GREY, _RED, _DARK_GREY = "#0072B2", "#8c8c8c", "#D55E00", "#6b6b6b"
_HATCH = "////"
_DOTS_PER_INCH = 160
_WIDTH_INCHES, _ROW_INCHES, _FRAME_INCHES = 8.4, 0.34, 1.5
_ROOM_FOR_NUMBERS = 1.3  # of the longest bar


def draw_chart(benchmark: Benchmark, png: Path, svg: Path) -> None:
    """Draw the benchmark into both files; the same benchmark gives the same bytes.

    Raises:
        BackendError: Matplotlib is not installed.
    """
    with chart_style():
        figure = _draw(benchmark)
        figure.savefig(png)
        figure.savefig(svg, metadata={"Date": None})  # a date would make every file another


def _draw(benchmark: Benchmark) -> "Figure":
    from matplotlib.figure import Figure

    rows = benchmark.rows
    size = _WIDTH_INCHES, _FRAME_INCHES + _ROW_INCHES * len(rows)
    figure = Figure(figsize=size, dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    rates = [row.samples_per_second for row in rows if isinstance(row, MeasuredRow)]
    axes.set_xlim(0, _ROOM_FOR_NUMBERS * max(rates, default=1.0))
    axes.set_ylim(len(rows) - 0.4, -0.6)  # the first row on top
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("samples per second: noisy rows drawn, classified and counted")
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    for place, row in enumerate(rows):
        _draw_row(axes, place, row)
    for rate in _baseline_rates(benchmark):
        axes.axvline(rate, color=_DARK_GREY, linestyle=(0, (4, 3)), linewidth=0.9, zorder=0)
    figure.suptitle(_title(benchmark), x=0.01, ha="left", fontsize=9)
    _draw_key(figure)
    return figure


def _title(benchmark: Benchmark) -> str:
    return (
        f"{benchmark.options.plan}, {benchmark.purifier}, sigma {benchmark.options.sigma}, on {benchmark.machine.title}"
    )


def _baseline_rates(benchmark: Benchmark) -> set[float]:
    """Return the rates of the rows that ratios are taken to."""
    rows = [row for row in benchmark.rows if isinstance(row, MeasuredRow)]
    chosen = {(ratio.to, ratio.batch) for row in rows for ratio in row.ratios}
    return {row.samples_per_second for row in rows if row.row.is_baseline and (row.row.title, row.row.batch) in chosen}


def _draw_row(axes: "Axes", place: int, row: MeasuredRow | UnusableRow) -> None:
    if isinstance(row, UnusableRow):
        _write(axes, 0, place, "cannot be measured here", _DARK_GREY)
        return
    is_valid = row.verdict == "VALID"
    colour = _GREY if row.row.is_baseline else _BLUE
    hatch = "" if is_valid else _HATCH
    axes.barh(place, row.samples_per_second, 0.66, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
    ratios = ", ".join(f"{rounded_down(ratio.times)} x" for ratio in row.ratios)
    words = f"{rounded_down(row.samples_per_second)}/s" + (f"  ({ratios})" if ratios else "")
    _write(axes, row.samples_per_second, place, words, "black" if is_valid else _RED)


def _write(axes: "Axes", x: float, y: float, words: str, colour: str) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}  # over the lines behind it
    axes.annotate(words, (x, y), (5, 0), textcoords="offset points", va="center", color=colour, bbox=box)


def _name(row: MeasuredRow | UnusableRow) -> str:
    precision = f" {row.executed_precision}" if isinstance(row, MeasuredRow) else ""
    return f"{row.row.title}{precision}, batch {row.row.batch}"


def _draw_key(figure: "Figure") -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks = [
        Patch(facecolor=_GREY, label="baseline: eager PyTorch"),
        Patch(facecolor=_BLUE, label="backend"),
        Patch(facecolor="#d9d9d9", edgecolor="white", hatch=_HATCH, label="INVALID"),
        Line2D([], [], color=_DARK_GREY, linestyle=(0, (4, 3)), linewidth=0.9, label="what ratios are to"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False)
