"""The look of every chart, Matplotlib's defaults and a few settings more, and its two files; drawn without a screen."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from purecert.engine.errors import BackendError, InputError
from purecert.engine.files.configuration import configuration_folder

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matplotlib.figure import Figure

# Okabe and Ito (2008), told apart with every kind of colour vision; their yellow is too faint for a line on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
LINES = ("-", (0, (5, 1.5)), (0, (1, 1)))  # beyond seven runs the colours come again in another line

_FOLDER = "MPLCONFIGDIR"


def chart_style() -> "AbstractContextManager[None]":
    """Return Matplotlib's own defaults as a context, so that no user's settings change the drawing, nor we theirs.

    Raises:
        BackendError: Matplotlib is not installed.
    """
    try:
        with _own_folder():
            import matplotlib.font_manager  # it makes its list of fonts, or reads it
            import matplotlib.style
    except ImportError as error:
        raise BackendError("charts are drawn by Matplotlib, which is absent; pip install 'purecert[report]'") from error
    ours = {"svg.hashsalt": "purecert", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    return matplotlib.style.context(["default", ours])


def check_free(path: Path, *, force: bool, what: str = "file") -> None:
    """Refuse to write where a link is, or a file that ``force`` does not replace; ``what`` names it in the message.

    Raises:
        InputError: There is one.
    """
    if path.is_symlink():
        raise InputError(f"{path}: expected a file of a report or none, found a link; writing would follow it")
    if path.exists() and not force:
        raise InputError(f"{path}: a {what} is there; choose another --out, or replace it with --force")


def write_chart(draw: "Callable[[], Figure]", png: Path, svg: Path) -> None:
    """Write what ``draw`` draws in this look into both files, whose folder is made; the same drawing, the same bytes.

    Raises:
        BackendError: Matplotlib is not installed.
    """
    style = chart_style()
    png.parent.mkdir(parents=True, exist_ok=True)
    with style:
        figure = draw()
        figure.savefig(png)
        figure.savefig(svg, metadata={"Date": None})  # a date would make every file another


@contextmanager
def _own_folder() -> Iterator[None]:
    """Let Matplotlib keep its files in a folder of purecert's, unless the program has imported it, or names a folder.

    Where there can be no such folder, Matplotlib takes a temporary one, and says so.
    """
    if "matplotlib" in sys.modules or os.environ.get(_FOLDER):
        yield
        return
    with suppress(InputError):  # a user without a home
        folder = configuration_folder()
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # as where this machine's key lies in it
        os.environ[_FOLDER] = os.fspath(folder / "matplotlib")
    try:
        yield
    finally:
        os.environ.pop(_FOLDER, None)
