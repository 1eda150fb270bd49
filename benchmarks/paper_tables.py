"""The tables of Consistency Purification on Fashion-MNIST, cell by cell; what is finished in --work is not done again.

    OMP_NUM_THREADS=1 python benchmarks/paper_tables.py benchmarks/results/paper/fashion_mnist.json \\
        --work build/paper --data-dir DIR --lpips-weights FILE

One thread. It writes the table anew after every cell, so that it may be stopped at any time; the same command goes on.
A cell is a training, one draw for each test image (10,000; PF-ODE 1,000) at one sigma, or the certificates of 200
images at one sigma (seed 0, n = 1,000). Seconds are of the processor.
"""

import sys
from pathlib import Path
from typing import Any

import click
from paper.cells import Cells, Sizes
from paper.filling import fill, seeds_of
from paper.options import of_every_table
from paper.rows import PAPER, Row
from paper.trainings import PaperTrainings, Place

from purecert.engine.commands.console import EngineCommand

_NAMES = [row.name for row in PAPER.rows]


@click.command(cls=EngineCommand)
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--work", required=True, type=click.Path(path_type=Path), help="Folder of all cells.")
@click.option("--data-dir", required=True, type=click.Path(path_type=Path), help="Where Fashion-MNIST lies.")
@click.option("--lpips-weights", type=click.Path(path_type=Path), help="SqueezeNet; without it one row is left out.")
@click.option("--row", "only", multiple=True, type=click.Choice(_NAMES), help="These rows alone; repeat for more.")
@of_every_table
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
    place, wanted = Place(work=work, data_dir=data_dir, lpips_weights=lpips_weights), seeds_of(seeds)
    every = {("paper", seed): _cells(seed, place, Sizes(**sizes)) for seed in wanted}
    click.echo(fill(PAPER, _chosen(only, lpips_weights), every, wanted, output, sizes, certifies=certify))


def _cells(seed: int, place: Place, sizes: Sizes) -> Cells:
    trainings = PaperTrainings(seed, place, sizes.steps_scale, sizes.train_images)
    return Cells(seed, trainings, place.data_dir, sizes)


def _chosen(only: tuple[str, ...], lpips_weights: Path | None) -> list[Row]:
    rows = [row for row in PAPER.rows if not only or row.name in only]
    perceptual = [row for row in rows if "fine-tuning-lpips" in row.stages.values()]
    if perceptual and lpips_weights is None:
        print(f"{perceptual[0].name}: left out, it needs --lpips-weights", file=sys.stderr)
        return [row for row in rows if row not in perceptual]
    return rows


if __name__ == "__main__":
    main()
