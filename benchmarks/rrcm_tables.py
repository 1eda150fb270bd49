"""rRCM on Fashion-MNIST beside what it is compared with, cell by cell; what is finished in --work is not done again.

    OMP_NUM_THREADS=1 python benchmarks/rrcm_tables.py benchmarks/results/rrcm/fashion_mnist.json \\
        --work build/paper --data-dir DIR [--labels 1000]

Pre-trained and from scratch, all three sigmas together have the same budget of passes; seconds and TFLOP of a row count
all that its one model stands on, the whole pre-training too. These two have three seeds, the others one; the CNNs and
the purifier are those of `benchmarks/paper_tables.py` in the same --work. A certificate of the purifier has as many
draws, n0 among them, as the FLOPs of rRCM's pay for, or ten times as many. One thread; seconds of training are of the
processor, those a certificate of the clock. With --labels, rRCM's classifiers see so many images, chosen by the seed,
of which a fifth choose the best weights; the CNNs train on the first so many, and the purifier is left out.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from paper.cells import Cells, Sizes
from paper.filling import fill, seeds_of
from paper.options import of_every_table
from paper.rows import RRCM
from paper.trainings import PaperTrainings, Place, RrcmTrainings, Trainings

from purecert.engine.commands.console import EngineCommand


@click.command(cls=EngineCommand)
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--work", required=True, type=click.Path(path_type=Path), help="Folder of all cells.")
@click.option("--data-dir", required=True, type=click.Path(path_type=Path), help="Where Fashion-MNIST lies.")
@click.option("--labels", type=click.IntRange(min=10), help="Labelled images; pre-training sees all.  [default: all]")
@of_every_table
def main(output: Path, work: Path, data_dir: Path, labels: int | None, seeds: str, certify: bool, **sizes: Any) -> None:
    """Fill the table, and write what there is of it to OUTPUT."""
    place, wanted, given = Place(work=work, data_dir=data_dir), seeds_of(seeds), Sizes(**sizes)
    rows = tuple(row for row in RRCM.rows if labels is None or row.cost is None)
    every = {}
    for seed in wanted:
        trainings: dict[str, Trainings] = {
            "rrcm": RrcmTrainings(seed, place, given.steps_scale, given.train_images, labels),
            "paper": PaperTrainings(seed, _of_labels(place, labels), given.steps_scale, labels or given.train_images),
        }
        every |= {(name, seed): Cells(seed, each, data_dir, given) for name, each in trainings.items()}
    contents = replace(RRCM, rows=rows)
    click.echo(fill(contents, rows, every, wanted, output, sizes | {"labels": labels}, certifies=certify))


def _of_labels(place: Place, labels: int | None) -> Place:
    """Return a place of its own for networks that see few images."""
    return place if labels is None else Place(work=place.work / f"labels-{labels}", data_dir=place.data_dir)


if __name__ == "__main__":
    main()
