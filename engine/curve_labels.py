"""Names written beside their curves, where there is room."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

Floats = NDArray[np.float64]
Points = NDArray[np.float64]  # [n, 2], in pixels of the canvas
Box = NDArray[np.float64]  # left, bottom, right, top, in pixels

_PLACES = 80  # tried along each curve
_STEP_PIXELS = 2.0  # between the points that stand for a curve, far less than a text is high
_GAP_PIXELS = 6.0  # between a curve and its text
_MARGIN = np.array([-3.0, -3.0, 3.0, 3.0])  # kept free around a text, in pixels


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LabelledCurve:
    """A falling step function and the name to write beside it."""

    name: str
    colour: str
    x: Floats
    y: Floats  # y[i] holds from x[i] to x[i + 1]


def place_labels(figure: "Figure", axes: "Axes", curves: Sequence[LabelledCurve], verticals: Sequence[float]) -> bool:
    """Write each curve's name beside it, in its colour; return whether every name found room of its own.

    Where one would cover a curve or a text, no name is written. Lines at ``verticals`` are kept clear where that goes.
    """
    figure.draw_without_rendering()  # the layout must be settled before pixels mean anything
    frame: Box = np.asarray(axes.get_window_extent().extents)
    lines = [_pixels(axes, curve.x, curve.y) for curve in curves]
    uprights = [_pixels(axes, np.array([x, x]), np.array(axes.get_ylim())) for x in verticals]
    taken: list[Box] = [np.asarray(text.get_window_extent().extents) for text in axes.texts]
    written: list[Text] = []
    for curve, line in zip(curves, lines, strict=True):
        text = axes.text(0, 0, curve.name, color=curve.colour, ha="left", va="bottom", fontweight="bold", fontsize=8.5)
        written.append(text)
        extent = text.get_window_extent()
        boxes = _boxes(line, np.array([extent.width, extent.height]))
        box = _free_box(boxes, [*lines, *uprights], taken, frame)
        if box is None:
            box = _free_box(boxes, lines, taken, frame)
        if box is None:
            for text in written:
                text.remove()
            return False
        x, y = axes.transData.inverted().transform(box[:2])
        text.set_position((float(x), float(y)))
        taken.append(box)
    return True


def _pixels(axes: "Axes", x: Floats, y: Floats) -> Points:
    """Return points along a step function as drawn, close enough that no text slips between two."""
    corners = np.stack([np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]], axis=1)
    pixels = np.asarray(axes.transData.transform(corners))
    lengths = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(pixels, axis=0)).sum(axis=1))])
    at = np.arange(0, lengths[-1], _STEP_PIXELS)
    return np.stack([np.interp(at, lengths, pixels[:, 0]), np.interp(at, lengths, pixels[:, 1])], axis=1)


def _boxes(line: Points, size: Floats) -> list[Box]:
    """Return where a text may go, places near the middle of the curve first.

    A falling curve leaves free what is right of and above each of its points, and what is left of and below.
    """
    middle_first = sorted(np.linspace(0, 1, _PLACES), key=lambda share: abs(share - 0.5))
    anchors = line[(np.array(middle_first) * (len(line) - 1)).astype(int)]
    corners = np.stack([anchors + _GAP_PIXELS, anchors - _GAP_PIXELS - size], axis=1).reshape(-1, 2)
    return list(np.concatenate([corners, corners + size], axis=1))


def _free_box(boxes: Sequence[Box], obstacles: Sequence[Points], taken: Sequence[Box], frame: Box) -> Box | None:
    return next((box for box in boxes if _is_free(box, obstacles, taken, frame)), None)


def _is_free(box: Box, obstacles: Sequence[Points], taken: Sequence[Box], frame: Box) -> bool:
    left, bottom, right, top = box + _MARGIN
    if left < frame[0] or bottom < frame[1] or right > frame[2] or top > frame[3]:
        return False
    if any(left < other[2] and other[0] < right and bottom < other[3] and other[1] < top for other in taken):
        return False
    return not any(
        np.any((line[:, 0] > left) & (line[:, 0] < right) & (line[:, 1] > bottom) & (line[:, 1] < top))
        for line in obstacles
    )
