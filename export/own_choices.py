"""What was assumed of a user's own model, in words: no file says how it takes images, and a wrong guess is silent."""

from collections.abc import Sequence


def image_choices(
    ends: tuple[float, float],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    shape: tuple[int, int],
    size: int | None,
) -> tuple[str, ...]:
    """Return what images become before the model, a line each.

    Args:
        ends: What pixels 0 and 255 are.
        mean: Per channel, in units of ``ends``; None: nothing is subtracted.
        std: Per channel; None: nothing is divided by.
        shape: Height and width of the images.
        size: Height and width that the model takes in their place; None: the same.
    """
    height, width = shape
    is_resized = size is not None and shape != (size, size)
    resize = f"bilinear, without antialias, from {height} x {width} pixels to {size} x {size}" if is_resized else "none"
    return (
        f"input range: pixels 0 and 255 become {ends[0]:g} and {ends[1]:g}",
        f"mean: {_listed(mean, 'none is subtracted')}",
        f"std: {_listed(std, 'nothing is divided by one')}",
        f"resize: {resize}",
    )


def _listed(values: Sequence[float] | None, nothing: str) -> str:
    return nothing if values is None else ",".join(f"{value:g}" for value in values)
