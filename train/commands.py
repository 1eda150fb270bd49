"""The command of training: engine-train. Imports stay inside the functions so that ``--help`` answers at once."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from purecert.engine.commands.console import EngineCommand, talk

if TYPE_CHECKING:
    from purecert.train.fitting.processes.group import Processes


@click.command(cls=EngineCommand)
@click.argument("recipe", metavar="RECIPE", type=click.Choice(["digits"]))
@click.option(
    "-o", "--out", "--output", "output", required=True, type=click.Path(path_type=Path), help="The model file to write."
)
@click.option("--seed", default=0, show_default=True, help="Decides every random choice.")
@click.option(
    "--steps-scale",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Multiplies the number of steps: 0.01 for a trial run.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of states, logs and pictures; a training that was begun in it goes on.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="End after so long, with everything saved in --work; the same command goes on.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="Share each batch among so many; by default two where there are two processors. The weights depend on it.",
)
@click.option(
    "--threads",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Threads of each process; the weights' last bits depend on it.",
)
@click.option("--force", is_flag=True, help="Replace the model file if it exists.")
def train_command(
    recipe: str,
    output: Path,
    seed: int,
    steps_scale: float,
    work: Path | None,
    minutes: float | None,
    processes: int | None,
    threads: int,
    force: bool,
) -> None:
    """Train a purifier and a classifier by RECIPE and write them as one model file.

    digits: the demo. Consistency training of a small U-Net on 8x8 digits, then a classifier of what it purifies.
    """
    from purecert.train.fitting.processes.launch import launch, usual_processes
    from purecert.train.fitting.session import PausedError
    from purecert.train.models.archives import refuse_overwrite

    if minutes is not None and work is None:
        raise click.UsageError("--minutes needs --work, the folder that the training goes on from")
    refuse_overwrite(output, force=force)  # now rather than after minutes of training
    count = processes or usual_processes()
    try:
        launch(_train, output, seed, steps_scale, work, minutes, threads, force, count=count)
    except PausedError as pause:
        talk(f"{pause}; go on with: {shlex.join(['engine-train', *sys.argv[1:]])}")


def _train(
    processes: Processes,
    output: Path,
    seed: int,
    steps_scale: float,
    work: Path | None,
    minutes: float | None,
    threads: int,
    force: bool,
) -> None:
    """Do one process's part of the training; the first one talks and writes."""
    import torch

    from purecert.train.fitting.progress import Silent, usual_progress
    from purecert.train.fitting.session import Session
    from purecert.train.models.checkpoints import save_model
    from purecert.train.recipes.digits import DigitsRecipe, train_digits

    torch.set_num_threads(threads)
    progress = usual_progress() if processes.is_first else Silent()
    session = Session(folder=work, progress=progress, processes=processes).with_minutes(minutes)
    model = train_digits(DigitsRecipe(seed=seed).scaled(steps_scale), session)
    if processes.is_first:
        save_model(model, output, force=force)
        click.echo(output)
