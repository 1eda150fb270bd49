"""The tables of Consistency Purification on Fashion-MNIST, cell by cell; what is finished in --work is not done again.

    OMP_NUM_THREADS=1 python benchmarks/paper_tables.py benchmarks/results/paper/fashion_mnist.json \\
        --work build/paper --data-dir DIR --lpips-weights FILE

One thread. It writes the table anew after every cell, so that it may be stopped at any time; the same command goes on.
A cell is a training, one draw for each test image (10,000; PF-ODE 1,000) at one sigma, or the certificates of 200
images at one sigma (seed 0, n = 1,000). Seconds are of the processor.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from paper.cells import Cells, Place, Sizes, costs
from paper.rows import RADII, ROWS, SIGMAS, SLOW_IMAGES, Row
from paper.table import Found, missing, table, text
from provenance import provenance, write_result

from purecert.engine.commands.console import EngineCommand, talk
from purecert.engine.errors import InputError

_PACKAGES = ("numpy", "torch", "onnxruntime")
_NAMES = [row.name for row in ROWS]


@click.command(cls=EngineCommand)
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--work", required=True, type=click.Path(path_type=Path), help="Folder of all cells.")
@click.option("--data-dir", required=True, type=click.Path(path_type=Path), help="Where Fashion-MNIST lies.")
@click.option("--lpips-weights", type=click.Path(path_type=Path), help="SqueezeNet; without it one row is left out.")
@click.option("--seeds", default="0,1,2", show_default=True, help="Trainings, and their noise.")
@click.option("--row", "only", multiple=True, type=click.Choice(_NAMES), help="These rows alone; repeat for more.")
@click.option("--certify/--no-certify", default=True, show_default=True, help="Also certify, after all is judged.")
@click.option("--steps-scale", default=1.0, show_default=True, help="A trial: fewer steps.")
@click.option("--train-images", type=int, help="A trial: the first so many training images.")
@click.option("--images", type=int, help="A trial: the first so many test images.")
@click.option("--certified-images", default=200, show_default=True)
@click.option("--n", default=1000, show_default=True, help="Draws of a certificate.")
@click.option("--parity-draws", default=20_000, show_default=True, help="Of each export.")
@click.option("--probe-rows", default=1000, show_default=True, help="Of each run's check of its rows.")
def main(
    output: Path,
    work: Path,
    data_dir: Path,
    lpips_weights: Path | None,
    seeds: str,
    only: tuple[str, ...],
    certify: bool,
    **sizes: Any,
) -> None:
    """Fill the table, and write what there is of it to OUTPUT."""
    place, wanted = Place(work=work, data_dir=data_dir, lpips_weights=lpips_weights), _seeds(seeds)
    every = {seed: Cells(seed, place, Sizes(**sizes)) for seed in wanted}
    found = Found(seeds=wanted, judged={}, certified={}, seconds={}, cost={})
    head = provenance(_PACKAGES, environment="OMP_NUM_THREADS=1")
    for what in _fill(found, every, _chosen(only, lpips_weights), place, certifies=certify):
        entries, absent = table(found), missing(found, wanted, certifies=certify)
        numbers = {
            "recipe": "fashion-mnist",
            "sizes": sizes,
            "radii": RADII,
            "is_partial": bool(absent),
            "not_measured": absent,
            "table": entries,
        }
        write_result(output, head, numbers)
        talk(what)
    click.echo(text(table(found)))


def _fill(found: Found, every: dict[int, Cells], rows: list[Row], place: Place, *, certifies: bool) -> Iterator[str]:
    """Fill the table cell by cell, and say which one is there."""
    next(iter(every.values())).check({stage for row in rows for stage in row.stages.values()})
    for seed, cells in every.items():
        for row in rows:
            for sigma in SIGMAS:
                stage = row.stages[sigma]
                images = SLOW_IMAGES if row.is_slow else None
                found.judged[row.name, seed, sigma] = cells.judged(stage, sigma, images)
                found.seconds[row.name, seed, sigma] = cells.seconds(stage)
                if (row.name, sigma) not in found.cost:
                    found.cost[row.name, sigma] = costs(cells.recipe, stage, sigma, place.sources)
                yield f"judged: {row.name}, seed {seed}, sigma {sigma:g}"
    first = next(iter(every.values()))
    for row in rows if certifies else ():
        for sigma in () if row.is_slow else SIGMAS:
            found.certified[row.name, sigma] = first.certified(row.stages[sigma], sigma)
            yield f"certified: {row.name}, sigma {sigma:g}"


def _chosen(only: tuple[str, ...], lpips_weights: Path | None) -> list[Row]:
    rows = [row for row in ROWS if not only or row.name in only]
    perceptual = [row for row in rows if "fine-tuning-lpips" in row.stages.values()]
    if perceptual and lpips_weights is None:
        print(f"{perceptual[0].name}: left out, it needs --lpips-weights", file=sys.stderr)
        return [row for row in rows if row not in perceptual]
    return rows


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"--seeds: expected whole numbers with commas, got {text!r}") from error
    if len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise InputError(f"--seeds: expected each once and none below 0, got {text}")
    return seeds


if __name__ == "__main__":
    main()
