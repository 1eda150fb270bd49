"""Lists of numbers as they are typed."""

import click


def parse_radii(text: str) -> tuple[float, ...]:
    """Return the radii of a comma-separated list.

    Raises:
        click.BadParameter: An entry is no number.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"expected radii like 0,0.25,0.5, got {text!r}") from error
