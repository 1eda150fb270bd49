"""The options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from purecert.engine.procedures.spec import DEFAULT_RADII

DEFAULT_BATCH = 256
DEFAULT_RADII_TEXT = ",".join(f"{radius:g}" for radius in DEFAULT_RADII)

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def combined(*options: Decorator) -> Decorator:
    """Return one decorator that applies ``options`` in the order in which ``--help`` shall show them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


class RunOption(click.Option):
    """An option that a run must be given, unless it continues another one (``--extend``), which has it."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the value; None where it is missing and the run to continue has it."""
        try:
            return super().process_value(ctx, value)
        except click.MissingParameter:
            if ctx.get_parameter_source("extend") is not ParameterSource.COMMANDLINE:
                raise
            return None


plan_option = click.option(
    "--plan", cls=RunOption, type=click.Path(path_type=Path), required=True, help="Plan directory."
)

data_options = combined(
    click.option(
        "--data", cls=RunOption, required=True, metavar="NAME[:SPLIT][SLICE]", help="Images, e.g. 'digits:test[:100]'."
    ),
    click.option("--data-dir", type=click.Path(path_type=Path), help="Where a named data set's files lie."),
)

backend_options = combined(
    click.option(
        "--backend",
        default="onnxruntime",
        show_default=True,
        help="engine-doctor names all that run here. 'auto' tries onnxruntime and openvino for half a minute and picks "
        "the batch and the threads too.",
    ),
    click.option("--batch", type=int, help=f"Rows of one call of the graph.  [default: {DEFAULT_BATCH}]"),
    click.option("--threads", default=0, help="Processors to use; 0 for all.  [default: 0]"),
    click.option("--probe-rows", default=1000, show_default=True, help="Rows of the check that rows are independent."),
    click.option("--repeat-check", is_flag=True, help="Check rows anew, though this machine has checked them before."),
    click.option("--trust-plan", is_flag=True, help="Load cached programs made elsewhere: they can run any code."),
)

run_options = combined(
    click.option("--sigma", cls=RunOption, type=float, required=True, help="Noise std, in [0, 1] pixel units."),
    click.option("--alpha", default=1e-3, show_default=True, help="Failure probability of one image's answer."),
    click.option(
        "-o",
        "--out",
        "--output",
        "output",
        type=click.Path(path_type=Path),
        required=True,
        help="Run directory to write.",
    ),
    click.option("--seed", type=int, help="64-bit seed; by default from the system's entropy. Marked in reports."),
    click.option("--resume", is_flag=True, help="Continue the run in --out."),
    click.option("--force", is_flag=True, help="Replace the run in --out."),
)

draw_options = combined(
    click.option("--n0", default=100, show_default=True, help="Draws that pick the class."),
    click.option(
        "--n", default=100_000, show_default=True, help="Fresh draws that bound its probability, at the most."
    ),
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
tsv_option = click.option("--tsv", is_flag=True, help="Also write cohen.tsv into the run directory.")


def parse_radii(text: str) -> tuple[float, ...]:
    """Return the radii of a comma-separated list.

    Raises:
        click.BadParameter: An entry is no number.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"expected radii like 0,0.25,0.5, got {text!r}") from error
