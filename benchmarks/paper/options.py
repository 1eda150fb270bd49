"""What both programs that fill tables can be asked for."""

import click

from purecert.engine.commands.options import combined

of_every_table = combined(
    click.option("--seeds", default="0,1,2", show_default=True, help="Trainings, and their noise."),
    click.option("--certify/--no-certify", default=True, show_default=True, help="Also certify, after all is judged."),
    click.option("--steps-scale", default=1.0, show_default=True, help="A trial: fewer steps."),
    click.option("--train-images", type=int, help="A trial: the first so many training images."),
    click.option("--images", type=int, help="A trial: the first so many test images."),
    click.option("--certified-images", default=200, show_default=True),
    click.option("--n", default=1000, show_default=True, help="Draws of a certificate."),
    click.option("--parity-draws", default=20_000, show_default=True, help="Of each export."),
    click.option("--probe-rows", default=1000, show_default=True, help="Of each run's check of its rows."),
)
