"""What was assumed of a user's own model, in words: no file says how it takes images, and a wrong guess is silent."""

from collections.abc import Sequence


def image_choices(
    ends: tuple[float, float], mean: Sequence[float] | None, std: Sequence[float] | None, sizes: tuple[int, int | None]
) -> tuple[str, ...]:
    """Return what images become before the model, a line each.

    Args:
        ends: What pixels 0 and 255 are.
        mean: Per channel, in units of ``ends``; None: nothing is subtracted.
        std: Per channel; None: nothing is divided by.
        sizes: Of the images, and what the model takes in their place; None: the same.
    """
    own, taken = sizes
    resize = "none" if taken in (None, own) else f"bilinear, without antialias, from {own} pixels to {taken}"
    return (
        f"input range: pixels 0 and 255 become {ends[0]:g} and {ends[1]:g}",
        f"mean: {_listed(mean, 'none is subtracted')}",
        f"std: {_listed(std, 'nothing is divided by one')}",
        f"resize: {resize}",
    )


def _listed(values: Sequence[float] | None, nothing: str) -> str:
    return nothing if values is None else ",".join(f"{value:g}" for value in values)
