"""The command of training: engine-train. Imports stay inside the function so that ``--help`` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from purecert.engine.commands.console import EngineCommand, talk

if TYPE_CHECKING:
    from purecert.train.fitting.loop import StepReport


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
    "--threads",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Processors to use; the weights' last bits depend on it.",
)
@click.option("--force", is_flag=True, help="Replace the model file if it exists.")
def train_command(recipe: str, output: Path, seed: int, steps_scale: float, threads: int, force: bool) -> None:
    """Train a purifier and a classifier by RECIPE and write them as one model file.

    digits: the demo. Consistency training of a small U-Net on 8x8 digits, then a classifier of what it purifies.
    """
    import torch

    from purecert.train.models.archives import refuse_overwrite
    from purecert.train.models.checkpoints import save_model
    from purecert.train.recipes.digits import DigitsRecipe, train_digits

    refuse_overwrite(output, force=force)  # now rather than after minutes of training
    torch.set_num_threads(threads)
    model = train_digits(DigitsRecipe(seed=seed).scaled(steps_scale), _report)
    save_model(model, output, force=force)
    click.echo(output)


def _report(step: StepReport) -> None:
    talk(f"{step.stage} {step.step}/{step.steps} loss {step.loss:.4f}")
