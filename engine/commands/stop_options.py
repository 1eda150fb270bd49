"""The options of engine-certify that say when to stop before all draws are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from purecert.engine.commands.number_lists import parse_radii
from purecert.engine.commands.options import combined

if TYPE_CHECKING:
    from purecert.engine.procedures.spec import StopSpec

_RADII = "0,0.25,0.5,0.75,1"

stop_options = combined(
    click.option(
        "--mode",
        type=click.Choice(["fixed", "radii", "tolerance"]),
        default="fixed",
        show_default=True,
        help="fixed: exactly n draws. radii: until each of --radii is certified or given up. tolerance: until the "
        "radius is within a share of the largest that the draws leave possible.",
    ),
    click.option("--radii", help=f"Of mode radii: comma-separated, in [0, 1] pixel units.  [default: {_RADII}]"),
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
    from purecert.engine.procedures.spec import StopSpec

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
        radii=tuple(sorted(set(parse_radii(_RADII if radii is None else radii)))) if mode == "radii" else (),
        tolerance=(0.05 if tolerance is None else tolerance) if mode == "tolerance" else None,
        alpha_final=alpha / 2 if alpha_final is None else alpha_final,
        alpha_refute=alpha if alpha_refute is None else alpha_refute,
    )
