"""Fills a table cell by cell, and writes it anew after each."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from paper.cells import Cells
from paper.rows import PRETRAINED, RADII, SIGMAS, SLOW_IMAGES, Contents, Row
from paper.table import Found, missing, table, text
from provenance import provenance, write_result

from purecert.engine.commands.console import talk
from purecert.engine.errors import InputError

Every: TypeAlias = Mapping[tuple[str, int], Cells]  # of (recipe, seed)

_PACKAGES = ("numpy", "torch", "onnxruntime")


def fill(
    contents: Contents,
    rows: Sequence[Row],
    every: Every,
    seeds: Sequence[int],
    output: Path,
    sizes: Mapping[str, Any],
    *,
    certifies: bool,
) -> str:
    """Fill the cells of ``rows`` that are not there, write what there is to ``output``, and return it as text."""
    found = Found(contents=contents, seeds=seeds, judged={}, certified={}, pace={}, seconds={}, cost={})
    head = provenance(_PACKAGES, environment="OMP_NUM_THREADS=1")
    for what in _cells(found, rows, every, certifies=certifies):
        absent = missing(found, seeds, certifies=certifies)
        numbers = {
            "recipe": contents.recipe,
            "sizes": dict(sizes),
            "radii": RADII,
            "is_partial": bool(absent),
            "not_measured": absent,
            "table": table(found),
        }
        write_result(output, head, numbers)
        talk(what)
    return text(contents, table(found))


def _cells(found: Found, rows: Sequence[Row], every: Every, *, certifies: bool) -> Iterator[str]:
    """Fill the table cell by cell, and say which one is there."""
    first = found.seeds[0]
    for recipe in dict.fromkeys(row.recipe for row in rows):
        stages = {stage for row in rows if row.recipe == recipe for stage in row.stages.values()}
        every[recipe, first].trainings.check(stages)
    for seed in found.seeds:
        for row in rows:
            for sigma in () if row.one_seed and seed != first else SIGMAS:
                _judge(found, row, every[row.recipe, seed], seed, sigma)
                yield f"judged: {row.name}, seed {seed}, sigma {sigma:g}"
    for row in rows if certifies else ():
        for seed in found.seeds if row.certifies_all else found.seeds[:1]:
            for sigma in () if row.is_slow else SIGMAS:
                cells, draws = every[row.recipe, seed], _draws(found, row, sigma, every)
                found.certified[row.name, seed, sigma] = cells.certified(row.stages[sigma], sigma, draws)
                found.pace[row.name, seed, sigma] = cells.pace(row.stages[sigma], sigma, draws)
                yield f"certified: {row.name}, seed {seed}, sigma {sigma:g}"


def _judge(found: Found, row: Row, cells: Cells, seed: int, sigma: float) -> None:
    stage = row.stages[sigma]
    found.judged[row.name, seed, sigma] = cells.judged(stage, sigma, SLOW_IMAGES if row.is_slow else None)
    found.seconds[row.name, seed, sigma] = cells.seconds(stage)
    if (row.name, sigma) not in found.cost:
        found.cost[row.name, sigma] = cells.costs(stage, sigma)


def _draws(found: Found, row: Row, sigma: float, every: Every) -> int:
    """Return n of a row's certificates: as many draws as the FLOPs pay for that the row may spend, less n0."""
    sizes = every[row.recipe, found.seeds[0]].sizes
    if row.cost is None:
        return sizes.n
    ratio = found.cost[PRETRAINED, sigma][0] / found.cost[row.name, sigma][0]
    return max(1, round(row.cost * (sizes.n0 + sizes.n) * ratio) - sizes.n0)


def seeds_of(text_: str) -> tuple[int, ...]:
    """Return the seeds that --seeds names.

    Raises:
        InputError: They are no whole numbers from 0, or one comes twice.
    """
    try:
        seeds = tuple(int(part) for part in text_.split(","))
    except ValueError as error:
        raise InputError(f"--seeds: expected whole numbers with commas, got {text_!r}") from error
    if len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise InputError(f"--seeds: expected each once and none below 0, got {text_}")
    return seeds
