"""The command of importing: engine-import. Imports stay inside the functions so that ``--help`` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import InputError

_TIME_RULES = ("exact", "nearest-2sigma", "nearest-sigma", "first-above", "closed-form")


def _print_kinds(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from purecert.train.importing.classifier_kinds import CLASSIFIER_KINDS
    from purecert.train.importing.network_kinds import NETWORK_KINDS

    click.echo("purifiers:")
    for name, kind in NETWORK_KINDS.items():
        click.echo(f"  {name}: {kind.expects}; families {', '.join(kind.purifiers)}")
    click.echo("  identity: no purifier and no file")
    click.echo("classifiers:")
    for name, classifier in CLASSIFIER_KINDS.items():
        click.echo(f"  {name}: {classifier.expects}")
    context.exit()


def _parse_values(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(value) for value in text.split(","))
    except ValueError as error:
        raise InputError(f"expected --{parameter.name} as numbers with commas, got {text!r}") from error


@click.command(cls=EngineCommand)
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_print_kinds, help="Name the kinds.")
@click.option("--purifier", metavar="KIND=PATH", required=True, help="The purifier's checkpoint, or 'identity'.")
@click.option("--classifier", metavar="KIND=PATH", required=True, help="The classifier's checkpoint.")
@click.option(
    "-o", "--out", "--output", "output", required=True, type=click.Path(path_type=Path), help="The model file to write."
)
@click.option("--family", help="Which purifier to make of the network.  [default: the kind's first]")
@click.option(
    "--time-rule",
    type=click.Choice(_TIME_RULES),
    help="How sigma becomes the network's time, see above.  [default: as published]",
)
@click.option("--steps", type=click.IntRange(min=1), help="Heun steps of family ode.  [default: the grid's]")
@click.option(
    "--clip/--no-clip", default=None, help="Limit the clean image to [-1, 1].  [default: as the official code]"
)
@click.option("--purifier-config", "config", type=click.Path(path_type=Path), help="JSON: network and purifier fields.")
@click.option("--preprocessing", type=click.Choice(["fast", "exact"]), default="fast", show_default=True)
@click.option(
    "--resize",
    type=click.Choice(["bilinear", "bicubic"]),
    help="Towards the classifier's size.  [default: as its files record, else bilinear]",
)
@click.option("--mean", callback=_parse_values, metavar="R,G,B", help="On the [0, 1] scale.  [default: the kind's]")
@click.option("--std", callback=_parse_values, metavar="R,G,B", help="On the [0, 1] scale.  [default: the kind's]")
@click.option(
    "--classifier-size", type=click.IntRange(min=1), help="Image size of the classifier.  [default: as it was trained]"
)
@click.option("--image-size", type=click.IntRange(min=1), help="Image size, where the purifier does not fix it.")
@click.option("--data", metavar="NAME[:SPLIT][SLICE]", help="Data set that engine-export takes by default.")
@click.option("--licence", default="", help="Licence of the weights, for the record.")
@click.option("--force", is_flag=True, help="Replace the model file if it exists.")
def import_command(purifier: str, classifier: str, output: Path, force: bool, **choices: Any) -> None:
    """Write public checkpoints of a purifier and a classifier as one model file.

    Nothing in a checkpoint is run, and every weight must fit. `--list` names the kinds.

    Time rules of consistency models and EDM networks, on the 18 points of the CIFAR-10 models, as the network's time at
    sigma .25, .5, 1: exact .5, 1, 2 (the noise that is there, on the network's scale); nearest-2sigma .5853, 1.0882,
    1.9233 (the grid, as in the official code of Consistency Purification); nearest-sigma .2964, .5853, 1.0882 (as its
    text reads). On the 40 points of the 64x64 models: nearest-2sigma .4700, 1.0717, 1.7672; nearest-sigma .2556, .4700,
    1.0717. Of DDPMs, on the cosine schedule of 4,000 steps: first-above 1158, 1984, 2809 (Carlini et al.), closed-form
    1159, 1984, 2810 (DensePure, Consistency Purification); on the linear one of 1,000: first-above 145, 259, 396.

    Preprocessing exact rounds the purified image to whole grey levels towards zero, as the official code does; fast
    leaves it as it is. Resize bicubic is antialiased, as in the code of Carlini et al.

    Settings that the files do not record are chosen, printed one a line, and kept in the model file and in plan.json.
    """
    from purecert.train.importing.assemble import ImportSpec, Source, import_model
    from purecert.train.models.archives import refuse_overwrite
    from purecert.train.models.checkpoints import save_model

    refuse_overwrite(output, force=force)
    spec = ImportSpec(purifier=Source.parse(purifier), classifier=Source.parse(classifier), **choices)
    model = import_model(spec)
    save_model(model, output, force=force)
    for choice in model.choices:
        click.echo(f"chosen: {choice}", err=True)
    click.echo(output)
