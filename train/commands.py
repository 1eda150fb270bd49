"""The command of training: engine-train. Imports stay inside the functions so that ``--help`` answers at once."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purecert.engine.commands.console import EngineCommand, EngineGroup, talk
from purecert.train.measures.command import evaluate_command

if TYPE_CHECKING:
    from purecert.train.fitting.processes.group import Processes
    from purecert.train.recipes.asking import Asked

_FILE = click.Path(path_type=Path, dir_okay=False)
_PAPER = {
    "fashion-mnist": "Fashion-MNIST on two cores, planned for 25 minutes: the whole path of Consistency Purification.",
    "cifar10-small": "CIFAR-10 in colour on two cores, planned for an hour.",
    "cifar10": "CIFAR-10 as the papers have it, on one large GPU. Never run to its end.",
    "imagenet64": "ImageNet at 64 pixels on a server, from an imported consistency model. Never run.",
}
_RRCM = {
    "rrcm-fashion-mnist": "rRCM on Fashion-MNIST on two cores: pre-training without labels, then three sigmas.",
    "rrcm-cifar10-small": "rRCM on CIFAR-10 in colour, small, on two cores. Never run to its end.",
    "rrcm-cifar10": "rRCM's B on CIFAR-10 with the published numbers, on a server. Never run.",
    "rrcm-imagenet": "rRCM's B on ImageNet with the published numbers, without their augmentations. Never run.",
    "rrcm-imagenet-s": "rRCM's S on ImageNet with the published numbers, without their augmentations. Never run.",
}


@click.group(cls=EngineGroup)
def train_command() -> None:
    """Train a purifier and a classifier by a recipe, and write them as one model file; or measure such models."""


_COMMON = (
    click.option("-o", "--out", "--output", "output", type=click.Path(path_type=Path), help="The model file to write."),
    click.option("--seed", default=0, show_default=True, help="Decides every random choice."),
    click.option(
        "--steps-scale",
        default=1.0,
        show_default=True,
        type=click.FloatRange(min=0, min_open=True),
        help="Multiplies the number of steps: 0.01 for a trial run.",
    ),
    click.option(
        "--work",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder of states, logs and pictures; the same command continues a training begun there.",
    ),
    click.option(
        "--minutes",
        type=click.FloatRange(min=0, min_open=True),
        help="End after so long, with everything saved in --work; the same command goes on.",
    ),
    click.option(
        "--processes",
        type=click.IntRange(min=1),
        help="Processes that share each batch; by default two where there are two processors. Weights depend on it.",
    ),
    click.option(
        "--threads",
        default=1,
        show_default=True,
        type=click.IntRange(min=1),
        help="Threads of each process; the weights' last bits depend on it.",
    ),
    click.option(
        "--dry-run", is_flag=True, help="Print configuration, parameters, FLOPs and expected time, without training."
    ),
    click.option(
        "--tflops",
        type=click.FloatRange(min=0, min_open=True),
        help="With --dry-run: also the time on hardware that trains at so many TFLOP/s.",
    ),
    click.option("--force", is_flag=True, help="Replace the model file if it exists."),
)
_OF_STAGES = (
    click.option(
        "--stage",
        default="all",
        show_default=True,
        metavar="STAGE",
        help="Train this one, such as teacher, and what it needs; docs/recipes.md lists them. Stages that are finished "
        "in --work are read from there.",
    ),
    click.option("--data", help="Other training images of the same shape, such as folder:DIR."),
    click.option("--data-dir", type=click.Path(path_type=Path), help="Where the data set's files lie."),
    click.option("--device", default="cpu", show_default=True, type=click.Choice(["cpu", "cuda"])),
)
_OF_RRCM = (
    click.option(
        "--labels",
        type=click.IntRange(min=10),
        help="Probe and tunings see so many images, chosen by the seed; pre-training sees all.  [default: all]",
    ),
)
_OF_THE_PAPER = (
    click.option(
        "--distance", type=click.Choice(["l1", "l2", "huber", "lpips", "features"]), help="Of the fine-tuning."
    ),
    click.option("--lpips-weights", type=_FILE, help="torchvision's weights of LPIPS's backbone."),
    click.option("--lpips-network", type=click.Choice(["alex", "squeeze", "vgg"]), help="LPIPS's backbone."),
    click.option("--start", type=_FILE, help="The model whose consistency model a transition begins with."),
)


@train_command.command(cls=EngineCommand)
def digits(**options: Any) -> None:
    """Train the demo: consistency training of a small U-Net on 8x8 digits, then a classifier of what it purifies."""
    _ask(recipe="digits", **options)


def _recipe_command(name: str, text: str) -> click.Command:
    def train(**options: Any) -> None:
        _ask(recipe=name, **options)

    return click.command(name, cls=EngineCommand, help=text)(train)


for _name, _text in (_PAPER | _RRCM).items():
    train_command.add_command(_recipe_command(_name, _text))
for _name, _command in train_command.commands.items():
    _own = () if _name == "digits" else (*_OF_STAGES, *(_OF_THE_PAPER if _name in _PAPER else _OF_RRCM))
    for _option in reversed((*_COMMON, *_own)):
        _option(_command)
    _command.params.reverse()
train_command.add_command(evaluate_command)


def _ask(
    *,
    minutes: float | None,
    work: Path | None,
    output: Path | None,
    dry_run: bool,
    tflops: float | None,
    **options: Any,
) -> None:
    """Check what was asked for, and train in as many processes."""
    from purecert.train.recipes.asking import Asked

    if tflops is not None and not dry_run:
        raise click.UsageError("--tflops needs --dry-run, which says what a training would take")
    if minutes is not None and work is None:
        raise click.UsageError("--minutes needs --work, the folder that the training goes on from")
    processes, force = options.pop("processes"), options.pop("force")
    if dry_run:
        from purecert.train.recipes.cost import describe

        click.echo(describe(Asked(**options), tflops))
        return
    if output is None:
        raise click.UsageError("Missing option '-o' / '--out' / '--output'.")
    from purecert.train.fitting.processes.launch import launch, usual_processes
    from purecert.train.fitting.session import PausedError
    from purecert.train.models.archives import refuse_overwrite

    refuse_overwrite(output, force=force)  # now rather than after minutes of training
    asked = Asked(**options)
    on_gpus = asked.device == "cuda"
    count = processes or (1 if on_gpus else usual_processes())
    try:
        launch(_train, asked, output, work, minutes, force, count=count, on_gpus=on_gpus)
    except PausedError as pause:
        talk(f"{pause}; go on with: {shlex.join(['engine-train', *sys.argv[1:]])}")


def _train(
    processes: Processes, asked: Asked, output: Path, work: Path | None, minutes: float | None, force: bool
) -> None:
    """Do one process's part of the training; the first one talks and writes."""
    import torch

    from purecert.train.fitting.progress import Silent, usual_progress
    from purecert.train.fitting.session import Session
    from purecert.train.models.checkpoints import save_model
    from purecert.train.recipes.asking import train

    torch.set_num_threads(asked.threads)
    progress = usual_progress() if processes.is_first else Silent()
    session = Session(folder=work, progress=progress, processes=processes, device=asked.place())
    model = train(asked, session, minutes)
    if processes.is_first:
        save_model(model, output, force=force)
        click.echo(output)
