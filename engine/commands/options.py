"""The options of the commands: those that several share, and when to stop before all draws are drawn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from purecert.engine.procedures.spec import DEFAULT_RADII, StopSpec

DEFAULT_RADII_TEXT = ",".join(f"{radius:g}" for radius in DEFAULT_RADII)

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def combined(*options: Decorator) -> Decorator:
    """Return one decorator that applies ``options`` in the order in which ``--help`` shall show them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


plan_option = click.option("--plan", type=click.Path(path_type=Path), required=True, help="Plan directory.")

data_options = combined(
    click.option("--data", required=True, metavar="NAME[:SPLIT][SLICE]", help="Images, e.g. 'digits:test[:100]'."),
    click.option("--data-dir", type=click.Path(path_type=Path), help="Where a named data set's files lie."),
)

backend_options = combined(
    click.option("--backend", default="onnxruntime", show_default=True, help="engine-doctor names all that run here."),
    click.option("--batch", default=256, show_default=True, help="Rows of one call of the graph."),
    click.option("--threads", default=0, help="Processors to use; 0 for all.  [default: 0]"),
    click.option("--probe-rows", default=1000, show_default=True, help="Rows of the check that rows are independent."),
    click.option("--trust-plan", is_flag=True, help="Load cached programs made elsewhere: they can run any code."),
)

run_options = combined(
    click.option("--sigma", type=float, required=True, help="Noise std, in [0, 1] pixel units."),
    click.option("--alpha", default=1e-3, show_default=True, help="Failure probability of one image's answer."),
    click.option("--out", "output", type=click.Path(path_type=Path), required=True, help="Run directory to write."),
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

stop_options = combined(
    click.option(
        "--mode",
        type=click.Choice(["fixed", "radii", "tolerance"]),
        default="fixed",
        show_default=True,
        help="fixed: exactly n draws. radii: until each of --radii is certified or given up. tolerance: until the "
        "radius is within a share of the largest that the draws leave possible.",
    ),
    click.option(
        "--radii", help=f"Of mode radii: comma-separated, in [0, 1] pixel units.  [default: {DEFAULT_RADII_TEXT}]"
    ),
    click.option("--tolerance", type=float, help="Of mode tolerance: the share, in (0, 1).  [default: 0.05]"),
    click.option(
        "--alpha-final",
        type=float,
        help="The part of alpha for an exact bound after the last of n draws; the rest is for stopping.  "
        "[default: half of alpha]",
    ),
    click.option("--alpha-refute", type=float, help="Probability of giving up a radius that holds.  [default: alpha]"),
    click.option(
        "--against-label",
        is_flag=True,
        help="Certify the data's label instead of selecting a class: no draws of n0, and wrong images end early.",
    ),
)


def stop_spec(options: dict[str, Any], alpha: float) -> StopSpec | None:
    """Return what ``options`` say of stopping, and take it out of them; None where nothing is said.

    Raises:
        click.UsageError: An option does not belong to the mode.
        InputError: A number is out of its range.
    """
    mode, radii, tolerance = options.pop("mode"), options.pop("radii"), options.pop("tolerance")
    alpha_final, alpha_refute = options.pop("alpha_final"), options.pop("alpha_refute")
    given = {"--radii": radii, "--tolerance": tolerance, "--alpha-final": alpha_final, "--alpha-refute": alpha_refute}
    used = {"fixed": (), "radii": ("--radii",), "tolerance": ("--tolerance",)}[mode]
    shared = () if mode == "fixed" else ("--alpha-final", "--alpha-refute")
    for name, value in given.items():
        if value is not None and name not in (*used, *shared):
            raise click.UsageError(f"{name} does not belong to --mode {mode}; leave it out, or choose another mode")
    if mode == "fixed":
        return None
    return StopSpec(
        rule=mode,
        radii=_listed(radii) if mode == "radii" else (),
        tolerance=(0.05 if tolerance is None else tolerance) if mode == "tolerance" else None,
        alpha_final=alpha / 2 if alpha_final is None else alpha_final,
        alpha_refute=alpha if alpha_refute is None else alpha_refute,
    )


def _listed(radii: str | None) -> tuple[float, ...]:
    return tuple(sorted(set(DEFAULT_RADII if radii is None else parse_radii(radii))))


def parse_radii(text: str) -> tuple[float, ...]:
    """Return the radii of a comma-separated list.

    Raises:
        click.BadParameter: An entry is no number.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"expected radii like 0,0.25,0.5, got {text!r}") from error
