"""Where sampling that stops when the answer is known saves draws: a picture, and the numbers in it as JSON.

Left: the bounds of one image as its draws come in, and the draw at which a radius is settled. Right: mean draws of an
image, by the engine's own procedures on draws simulated with the success probabilities that a published log of
certificates shows (N = 100,000, alpha = .001; p is the share k / N that gives the printed radius, .5 where it
abstained), n0 = 100 draws of the selection included.

    python benchmarks/early_stopping_picture.py LOG OUT

LOG is a log in Cohen's format at sigma .5; OUT is where early-stopping.json, .png and .svg go.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from provenance import provenance, write_result
from scipy import special

from purecert.engine.logs.cohen_tsv import read_cohen_tsv
from purecert.engine.procedures.choosing import procedure_for
from purecert.engine.procedures.drawing import Procedure
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.procedures.stopping import count_rule
from purecert.engine.reports.chart_style import chart_style
from purecert.engine.statistics.anytime import anytime_lower, anytime_upper
from purecert.engine.statistics.bounds import certified_radius, clopper_pearson_lower

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIGMA, N, ALPHA = 0.5, 100_000, 1e-3
RADIUS = 0.5  # of the single radius, here and on the left
FIVE = (0.0, 0.25, 0.5, 0.75, 1.0)
EVERY = 10  # image of the log
SHOWN_P, SHOWN_SEED, SHOWN_DRAWS = 0.93, 7, 3_000
_BLUE, _RED, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#6b6b6b"


def spec_of(stop: StopSpec | None) -> SmoothingSpec:
    """Return the sampling plan of a certificate that stops so."""
    return SmoothingSpec(mode="certify", sigma=SIGMA, n_estimate=N, alpha=ALPHA, stop=stop)


def radii_stop(*radii: float) -> StopSpec:
    """Return the rule that stops at these radii, with the command line's split of alpha."""
    return StopSpec(rule="radii", radii=radii, alpha_final=ALPHA / 2, alpha_refute=ALPHA)


def modes() -> dict[str, SmoothingSpec]:
    """Return what is compared: the words of the picture -> sampling plan."""
    tolerance = StopSpec(rule="tolerance", tolerance=0.05, alpha_final=ALPHA / 2, alpha_refute=ALPHA)
    return {
        f"one radius ({RADIUS})": spec_of(radii_stop(RADIUS)),
        "five radii (0 to 1)": spec_of(radii_stop(*FIVE)),
        "every radius, to 5 %": spec_of(tolerance),
        "fixed n": spec_of(None),
    }


def probabilities(log: Path) -> NDArray[np.float64]:
    """Return each image's share of draws k / N whose radius, rounded to the log's digits, is the one printed."""
    radii = certified_radius(SIGMA, clopper_pearson_lower(np.arange(N + 1), N, ALPHA))
    printed = np.array([row.radius or 0.0 for row in read_cohen_tsv(log).rows])
    after = np.clip(np.searchsorted(radii, printed), 1, N)
    nearest = np.where(printed - radii[after - 1] < radii[after] - printed, after - 1, after)
    return np.where(printed > 0, nearest / N, 0.5)


def draws_taken(procedure: Procedure, p: float, generator: np.random.Generator) -> int:
    """Return how many draws ``procedure`` asks for of an image whose class has probability ``p``."""
    ask, taken = next(procedure), 0
    while True:
        taken += ask.count
        successes = int(generator.binomial(ask.count, p))
        try:
            ask = procedure.send(np.array([successes, ask.count - successes, 0]))
        except StopIteration:
            return taken


def mean_draws(spec: SmoothingSpec, p: NDArray[np.float64], seed: int) -> dict[str, float]:
    """Return mean and median draws of an image, and how far the mean is from its expectation (one standard error)."""
    generator = np.random.default_rng(seed)
    taken = np.array([draws_taken(procedure_for(spec, 0.0), float(one), generator) for one in p])
    return {
        "mean": float(taken.mean()),
        "standard_error": float(taken.std(ddof=1) / np.sqrt(len(taken))),
        "median": float(np.median(taken)),
    }


def one_sequence() -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], int]:
    """Return draws n, lower and upper bounds after each, and the first n at which the radius is settled."""
    spec = spec_of(radii_stop(RADIUS))
    assert spec.stop is not None
    hits = np.random.default_rng(SHOWN_SEED).random(SHOWN_DRAWS) < SHOWN_P
    n = np.arange(1, SHOWN_DRAWS + 1)
    k = np.cumsum(hits)
    rule = count_rule(spec, 0.0)
    stop = next(int(i) for i in n if rule.remaining(int(k[i - 1]), int(i)) == 0)
    return n, anytime_lower(k, n, spec.alpha_stop), anytime_upper(k, n, spec.stop.alpha_refute), stop


def draw(results: dict[str, dict[str, float]], out: Path) -> None:
    """Write the picture, as PNG and SVG."""
    with chart_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9.2, 3.6), dpi=160, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
        _draw_sequence(left)
        _draw_bars(right, results)
        figure.savefig(out / "early-stopping.png")
        figure.savefig(out / "early-stopping.svg", metadata={"Date": None})


def _draw_sequence(axes: "Axes") -> None:
    n, lower, upper, stop = one_sequence()
    threshold = float(special.ndtr(RADIUS / SIGMA))
    axes.set_title("One image: the bounds hold at every n at once", loc="left", fontsize=9)
    axes.fill_between(n, lower, upper, color=_BLUE, alpha=0.12, linewidth=0)
    axes.plot(n, lower, color=_BLUE, linewidth=1.5)
    axes.plot(n, upper, color=_GREEN, linewidth=1.5)
    axes.axhline(threshold, color=_RED, linewidth=1.2, linestyle=(0, (5, 2)))
    axes.axhline(SHOWN_P, color=_GREY, linewidth=0.8, linestyle=(0, (1, 2)))
    axes.axvline(stop, color=_GREY, linewidth=0.8)
    axes.plot([stop], [lower[stop - 1]], "o", color=_BLUE, markersize=5)
    axes.set(xscale="log", xlim=(5, SHOWN_DRAWS), ylim=(0.4, 1.01), xlabel="draws n", ylabel="probability of the class")
    axes.text(
        6,
        threshold + 0.008,
        f"needed for radius {RADIUS}: $\\Phi(r/\\sigma)$ = {threshold:.3f}",
        color=_RED,
        fontsize=8,
    )
    axes.text(stop * 1.08, 0.42, f"L$_n$ is above: certified,\nstop after {stop} draws", color=_GREY, fontsize=8)
    axes.text(6, SHOWN_P - 0.006, "truth", color=_GREY, fontsize=8, va="top")
    axes.text(20, float(lower[19]) - 0.01, "lower L$_n$", color=_BLUE, fontsize=8, va="top")
    axes.text(60, 0.985, "upper U$_n$", color=_GREEN, fontsize=8, va="top")


def _draw_bars(axes: "Axes", results: dict[str, dict[str, float]]) -> None:
    names = list(results)[::-1]
    means = [results[name]["mean"] for name in names]
    axes.set_title("Mean draws of an image (fewer is better)", loc="left", fontsize=9)
    axes.barh(names, means, color=[_GREY if name == "fixed n" else _BLUE for name in names], height=0.6)
    for place, mean in enumerate(means):
        axes.text(mean + 1_500, place, f"{mean:,.0f}  (1 / {max(means) / mean:.1f})", va="center", fontsize=8)
    axes.set(xlim=(0, 145_000), xlabel=f"draws, of at most {max(means):,.0f}")
    axes.set_xticks([0, 50_000, 100_000], ["0", "50,000", "100,000"])
    axes.tick_params(axis="y", length=0)


def main(arguments: Sequence[str]) -> None:
    """Compute, write and draw."""
    log, out = Path(arguments[0]), Path(arguments[1])
    p = probabilities(log)[::EVERY]
    results = {name: mean_draws(spec, p, seed) for seed, (name, spec) in enumerate(modes().items(), 1)}
    numbers = {"sigma": SIGMA, "n": N, "alpha": ALPHA, "images": len(p), "every": EVERY, "draws": results}
    write_result(out / "early-stopping.json", provenance(("numpy", "scipy", "matplotlib")), numbers)
    draw(results, out)
    print(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
