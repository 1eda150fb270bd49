"""engine-certify: an answer and a radius for each image.

Imports stay inside the functions so that ``--help`` answers at once.
"""

from typing import Any

import click

from purecert.engine.commands.console import EngineCommand
from purecert.engine.commands.options import (
    backend_options,
    combined,
    data_options,
    draw_options,
    json_option,
    plan_option,
    run_options,
    stop_options,
    stop_spec,
    tsv_option,
)
from purecert.engine.commands.run import run


@click.command(cls=EngineCommand)
@combined(plan_option, data_options, run_options)
@combined(draw_options, stop_options)
@combined(backend_options, tsv_option, json_option)
def certify_command(sigma: float, alpha: float, n0: int, n: int, **options: Any) -> None:
    """Certify images: an answer and a radius each, right with probability 1 - alpha (Cohen et al. 2019)."""
    from purecert.engine.procedures.spec import SmoothingSpec

    stop, against_label = stop_spec(options, alpha), options.pop("against_label")
    spec = SmoothingSpec(
        mode="certify", sigma=sigma, n_select=n0, n_estimate=n, alpha=alpha, stop=stop, against_label=against_label
    )
    run(spec, **options)
