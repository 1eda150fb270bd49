"""The table from its cells: what is there, and by name what is not measured."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paper.rows import SIGMAS, Contents, Row
from scipy.stats import binomtest

from purecert.engine.reports.text import markdown_table
from purecert.train.measures.certified import Certified
from purecert.train.measures.intervals import paired_difference

Cell = Mapping[str, Any]


@dataclass(kw_only=True)
class Found:
    """All cells that are there, by row."""

    contents: Contents
    seeds: Sequence[int]
    judged: dict[tuple[str, int, float], Cell]  # of (row, seed, sigma)
    certified: dict[tuple[str, int, float], Certified]  # of (row, seed, sigma)
    pace: dict[tuple[str, int, float], float]  # seconds of one thread an image of those certificates
    seconds: dict[tuple[str, int, float], float | None]  # processor seconds of all trainings of a cell
    cost: dict[tuple[str, float], tuple[float, float]]  # of (row, sigma): GFLOP of an image, TFLOP of all trainings


def table(found: Found) -> list[dict[str, Any]]:
    """Return a row of plain values for each row and sigma; what is not measured is None."""
    return [_entry(row, sigma, found) for row in found.contents.rows for sigma in SIGMAS]


def _entry(row: Row, sigma: float, found: Found) -> dict[str, Any]:
    cells = {
        seed: found.judged[row.name, seed, sigma] for seed in found.seeds if (row.name, seed, sigma) in found.judged
    }
    runs = {seed: key for seed in found.seeds if (key := (row.name, seed, sigma)) in found.certified}
    distance = cells if found.contents.measures_distance else {}
    seconds = [found.seconds.get((row.name, seed, sigma)) for seed in cells]
    gflop, tflop = found.cost.get((row.name, sigma), (None, None))
    return {
        "row": row.name,
        "stage": row.stages[sigma],
        "sigma": sigma,
        "seeds": list(cells),
        "images": len(next(iter(cells.values()))["right"]) if cells else None,
        "clean": _mean(cells, "clean"),
        "one_draw": _mean(cells, "right"),
        "one_draw_by_seed": [float(cell["right"].mean()) for cell in cells.values()],
        **{column: _over(row.name, other, sigma, found) for column, other in found.contents.compared.items()},
        "transport": _mean(distance, "transport"),
        "frechet": _mean(distance, "frechet"),
        "certified": [_certified(found.certified[key], seed, found.pace.get(key)) for seed, key in runs.items()],
        "processor_seconds_trained": None
        if not seconds or None in seconds
        else float(np.mean(np.array(seconds, float))),
        "tflop_trained": tflop,
        "gflop_image": gflop,
    }


def _certified(run: Certified, seed: int, pace: float | None) -> dict[str, Any]:
    """Return a run with the exact 95 % interval of its share at each radius (Clopper and Pearson 1934)."""
    right = [round(share * run.images) for share in run.accuracy]
    intervals = [binomtest(count, run.images).proportion_ci(method="exact") for count in right]
    return {
        "seed": seed,
        **asdict(run),
        "intervals": [[float(each.low), float(each.high)] for each in intervals],
        "seconds_a_certificate": pace,
    }


def _mean(cells: Mapping[int, Cell], name: str) -> float | None:
    return float(np.mean([cell[name].mean() for cell in cells.values()])) if cells else None


def _over(name: str, other: str, sigma: float, found: Found) -> dict[str, Any] | None:
    """Return the paired difference in one-draw accuracy over the seeds and images that both rows have."""
    seeds = [s for s in found.seeds if (name, s, sigma) in found.judged and (other, s, sigma) in found.judged]
    if name == other or not seeds:
        return None
    mine, theirs = (np.stack([_right(found, row, s, sigma) for s in seeds]) for row in (name, other))
    images = min(mine.shape[1], theirs.shape[1])  # the first ones of the test set, where a row is measured on fewer
    difference = paired_difference(mine[:, :images], theirs[:, :images])
    return {"seeds": seeds, "images": images, **asdict(difference)}


def _right(found: Found, row: str, seed: int, sigma: float) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = found.judged[row, seed, sigma]["right"]
    return right


def missing(found: Found, wanted: Sequence[int], *, certifies: bool) -> list[str]:
    """Return the cells that are not measured, in words."""
    said = []
    for row in found.contents.rows:
        seeds = wanted[:1] if row.one_seed else wanted
        judged = [(s, sigma) for s in seeds for sigma in SIGMAS if (row.name, s, sigma) not in found.judged]
        said += [f"{row.name}: one draw, seed {seed}, sigma {sigma:g}" for seed, sigma in judged]
        if certifies and not row.is_slow:
            asked = [(s, sigma) for s in (seeds if row.certifies_all else wanted[:1]) for sigma in SIGMAS]
            open_ = [key for key in asked if (row.name, *key) not in found.certified]
            said += [f"{row.name}: certified, seed {seed}, sigma {sigma:g}" for seed, sigma in open_]
    return said


def text(contents: Contents, entries: Sequence[Mapping[str, Any]]) -> str:
    """Return what is measured of the table as text."""
    column, other = next(iter(contents.compared.items()))
    head = ["row", "sigma", "clean", "one draw", f"over {other}", "L2", "Frechet", "certified", "seconds", "GFLOP"]
    lines = [head]
    for entry in entries:
        if entry["one_draw"] is None and not entry["certified"]:
            continue
        over = entry[column]
        shown = "-" if over is None else f"{over['mean']:+.4f} [{over['low']:+.4f}, {over['high']:+.4f}]"
        certified = entry["certified"]
        shares = np.mean([run["accuracy"] for run in certified], axis=0) if certified else []
        radii = " ".join(f"{share:.3f}" for share in shares) or "-"
        numbers = [_shown(entry[name], 4) for name in ("clean", "one_draw")]
        moved = [_shown(entry[name], 3) for name in ("transport", "frechet")]
        cost = [_shown(entry["processor_seconds_trained"], 0), _shown(entry["gflop_image"], 3)]
        lines.append([entry["row"], f"{entry['sigma']:g}", *numbers, shown, *moved, radii, *cost])
    return "\n".join(markdown_table(lines, text_columns=1))


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
