"""The table from its cells: what is there, and by name what is not measured."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paper.rows import EQUAL_COMPUTE, FIRST, ROWS, SIGMAS, Row

from purecert.engine.reports.text import markdown_table
from purecert.train.measures.certified import Certified
from purecert.train.measures.intervals import paired_difference

Cell = Mapping[str, Any]


@dataclass(kw_only=True)
class Found:
    """All cells that are there, by row."""

    seeds: Sequence[int]
    judged: dict[tuple[str, int, float], Cell]  # of (row, seed, sigma)
    certified: dict[tuple[str, float], Certified]
    seconds: dict[tuple[str, int, float], float | None]  # processor seconds of all trainings of a cell
    cost: dict[tuple[str, float], tuple[float, float]]  # of (row, sigma): GFLOP of an image, TFLOP of all trainings


def table(found: Found) -> list[dict[str, Any]]:
    """Return a row of plain values for each row and sigma; what is not measured is None."""
    return [_entry(row, sigma, found) for row in ROWS for sigma in SIGMAS]


def _entry(row: Row, sigma: float, found: Found) -> dict[str, Any]:
    cells = {
        seed: found.judged[row.name, seed, sigma] for seed in found.seeds if (row.name, seed, sigma) in found.judged
    }
    certified = found.certified.get((row.name, sigma))
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
        "over_one_step": _over(row.name, FIRST, sigma, found),
        "over_equal_compute": _over(row.name, EQUAL_COMPUTE, sigma, found),
        "transport": _mean(cells, "transport"),
        "frechet": _mean(cells, "frechet"),
        "certified": None if certified is None else asdict(certified),
        "processor_seconds_trained": None
        if not seconds or None in seconds
        else float(np.mean(np.array(seconds, float))),
        "tflop_trained": tflop,
        "gflop_image": gflop,
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
    for row in ROWS:
        judged = [(s, sigma) for s in wanted for sigma in SIGMAS if (row.name, s, sigma) not in found.judged]
        said += [f"{row.name}: one draw, seed {seed}, sigma {sigma:g}" for seed, sigma in judged]
        if certifies and not row.is_slow:
            open_ = [sigma for sigma in SIGMAS if (row.name, sigma) not in found.certified]
            said += [f"{row.name}: certified, sigma {sigma:g}" for sigma in open_]
    return said


def text(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return what is measured of the table as text."""
    head = ["row", "sigma", "clean", "one draw", "over one-step EDM", "L2", "Frechet", "certified", "seconds", "GFLOP"]
    lines = [head]
    for entry in entries:
        if entry["one_draw"] is None and entry["certified"] is None:
            continue
        over = entry["over_one_step"]
        shown = "-" if over is None else f"{over['mean']:+.4f} [{over['low']:+.4f}, {over['high']:+.4f}]"
        certified = entry["certified"]
        radii = "-" if certified is None else " ".join(f"{share:.3f}" for share in certified["accuracy"])
        numbers = [_shown(entry[name], 4) for name in ("clean", "one_draw")]
        moved = [_shown(entry[name], 3) for name in ("transport", "frechet")]
        cost = [_shown(entry["processor_seconds_trained"], 0), _shown(entry["gflop_image"], 3)]
        lines.append([entry["row"], f"{entry['sigma']:g}", *numbers, shown, *moved, radii, *cost])
    return "\n".join(markdown_table(lines, text_columns=1))


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
