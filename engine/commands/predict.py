"""engine-predict: the smoothed classifier's answer for each image, without a radius.

Imports stay inside the functions so that ``--help`` answers at once.
"""

from typing import Any

import click

from purecert.engine.commands.certify import answer_images
from purecert.engine.commands.console import EngineCommand
from purecert.engine.commands.options import (
    backend_options,
    combined,
    data_options,
    json_option,
    plan_option,
    run_options,
    tsv_option,
)


@click.command(cls=EngineCommand)
@combined(plan_option, data_options, run_options)
@click.option("--n", default=1000, show_default=True, help="Draws that vote; with --early, at the most.")
@click.option("--n0", default=100, show_default=True, help="With --early: draws that pick the candidate.")
@click.option("--early", is_flag=True, help="Stop when the candidate is shown to be likelier than every other class.")
@click.option(
    "--least-chance",
    type=float,
    help="With --early: abstain where the draws left would settle the answer with less chance.  [default: 0.001]",
)
@combined(backend_options, tsv_option, json_option)
def predict_command(
    sigma: float, alpha: float, n: int, n0: int, early: bool, least_chance: float | None, **options: Any
) -> None:
    """Predict images with the smoothed classifier, or abstain; no radius is claimed (Cohen et al. 2019).

    A certificate of a class within a radius holds for these answers at every 8-bit image closer than the radius: each
    is that class or an abstention, with probability 1 - alpha at least.

    Images of floats are rounded to 8 bits first, and stderr says by how much at most. The guarantee holds for a float
    image whose own distance plus that movement is less than the radius.
    """
    from purecert.engine.procedures.spec import DEFAULT_LEAST_CHANCE, SmoothingSpec, StopSpec

    if least_chance is not None and not early:
        raise click.UsageError("--least-chance belongs to --early; leave it out, or ask for --early")
    chance = DEFAULT_LEAST_CHANCE if least_chance is None else least_chance
    stop = StopSpec(rule="answer", alpha_refute=alpha, least_chance=chance) if early else None
    answer_images(
        SmoothingSpec(mode="predict", sigma=sigma, n_select=n0, n_estimate=n, alpha=alpha, stop=stop), **options
    )
