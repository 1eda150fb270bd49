"""The look of every chart: Matplotlib's defaults and a few settings more; drawn without a screen."""

from typing import TYPE_CHECKING

from purecert.engine.errors import BackendError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def chart_style() -> "AbstractContextManager[None]":
    """Return Matplotlib's own defaults as a context, so that no user's settings change the drawing, nor we theirs.

    Raises:
        BackendError: Matplotlib is not installed.
    """
    try:
        import matplotlib.style
    except ImportError as error:
        raise BackendError("charts are drawn by Matplotlib, which is absent; pip install 'purecert[report]'") from error
    ours = {"svg.hashsalt": "purecert", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    return matplotlib.style.context(["default", ours])
