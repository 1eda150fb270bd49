"""A run in Python: what became of each image, and what the run claims."""

import json
import os
import shutil
import weakref
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
from numpy.typing import NDArray

from purecert.engine.api.python_words import python_words
from purecert.engine.errors import BackendError, InputError
from purecert.engine.images.datasets import MOVED
from purecert.engine.procedures.outcomes import Outcome
from purecert.engine.procedures.spec import DEFAULT_RADII, SmoothingSpec, plain_number
from purecert.engine.records.class_names import class_names_of
from purecert.engine.records.run import Run
from purecert.engine.records.run_directory import IMAGES_FILE, INVOCATION_FILE
from purecert.engine.records.sources import change_sources, read_sources
from purecert.engine.reports.asked.model_card import model_card
from purecert.engine.reports.curve import plot
from purecert.engine.reports.summary import summarise
from purecert.engine.reports.table import table

if TYPE_CHECKING:
    from pandas import DataFrame


@final
class RunResult:
    """The finished images of a run, in the data's order. ``print`` shows the report with everything it must say."""

    def __init__(self, run: Run, held: ExitStack | None = None) -> None:
        """Show ``run``; what is ``held`` with it, such as a temporary directory, is closed when this object goes."""
        self._run = run
        if held is not None:
            weakref.finalize(self, held.close)

    @property
    def directory(self) -> Path:
        """Return the run directory: of the caller's naming, or one that goes with this object."""
        return self._run.directory

    @property
    def spec(self) -> SmoothingSpec:
        """Return the sampling plan: sigma, draws, alpha and when to stop."""
        return self._run.record.spec

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Return a ``Certificate``, ``Prediction`` or ``Abstention`` for each image."""
        return tuple(line.outcome for line in self._run.lines)

    @property
    def indices(self) -> tuple[int, ...]:
        """Return each image's index in its data set."""
        return tuple(line.index for line in self._run.lines)

    @property
    def labels(self) -> tuple[int | None, ...]:
        """Return each image's label; None where the data has none."""
        return tuple(line.label for line in self._run.lines)

    @property
    def classes(self) -> int:
        """Return how many classes the plan tells apart."""
        return self._run.record.classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return what the plan calls its classes; empty where it does not, or is not where the run found it."""
        return class_names_of(self._run).names

    @property
    def marks(self) -> tuple[str, ...]:
        """Return what a reader must know before trusting the numbers; empty for a full run without weaknesses."""
        return summarise(self._run).marks

    @property
    def moved(self) -> tuple[float, ...]:
        """Return how far each image is, at most, from the 8-bit image that its outcome speaks of.

        L2 over pixels in [0, 1]: zeros, unless the data set holds floats. It is kept beside the run, and fixes nothing.

        Raises:
            InputError: The data set holds floats, and the run does not say how far they were moved.
        """
        if not self._run.record.data.quantised:
            return (0.0,) * len(self._run.lines)
        path = self.directory / INVOCATION_FILE
        try:
            kept = {entry["index"]: float(entry["distance"]) for entry in json.loads(path.read_text("utf-8"))[MOVED]}
            return tuple(kept[index] for index in self.indices)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"{path}: expected {MOVED}, a distance for each image, found {error!r}; run again with this version"
            ) from error

    @python_words()
    def certified_accuracy(
        self, radii: Iterable[float] = DEFAULT_RADII, *, at_least: bool = False, rho: float = 1e-3
    ) -> list[float]:
        """Return the share of all images that are certified to be of their label out to each radius, in [0, 1].

        Where the draws stopped at listed radii, the share at any other radius may be too small, never too large.

        Args:
            radii: L2 radii in pixel units of [0, 1].
            at_least: Subtract the most certificates that could be false, with confidence ``1 - rho`` over the draws.
            rho: Probability, at most, that more are false.

        Raises:
            InputError: The run has no labels or claims no radius, or a number is out of its range.
        """
        asked = [plain_number("a radius", radius) for radius in radii]
        points = {point.radius: point for point in summarise(self._run, asked, rho).certified_at}
        if asked and not points:
            raise InputError("expected a certification run of labelled images, found another, or one without labels")
        images = len(self._run.lines)
        return [(points[r].images_at_least if at_least else points[r].images) / images for r in asked]

    @python_words()
    def plot(self, out: str | os.PathLike[str], *, force: bool = False) -> tuple[Path, Path]:
        """Draw certified accuracy against the radius into the folder ``out`` and return the paths of a PNG and an SVG.

        Raises:
            InputError: The run has no labels or claims no radius, or a drawing is there and ``force`` is not set.
            BackendError: Matplotlib is not installed.
        """
        return plot([self._run], Path(out), force=force)

    def save(self, out: str | os.PathLike[str]) -> Path:
        """Copy the run directory to ``out``, which must not exist, and return it; ``engine-verify`` checks it there.

        Raises:
            InputError: Something lies at ``out`` already.
        """
        target = Path(out)
        if target.exists():
            raise InputError(f"{target}: something is there already; choose another name")
        shutil.copytree(self.directory, target)
        if (target / IMAGES_FILE).exists():
            change_sources(target, replace(read_sources(target), data=f"npz:{target / IMAGES_FILE}"))
        return target

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return what became of the images as arrays [images].

        ``index`` in the data set; ``label``, -1 where there is none; ``predicted``, -1 for an abstention; ``radius``
        (L2 over pixels in [0, 1]; 0 without a certificate), ``p_lower`` and ``p_value``, NaN where an outcome has none.
        """
        outcomes = self.outcomes
        return {
            "index": np.array(self.indices, np.int64),
            "label": np.array([-1 if label is None else label for label in self.labels], np.int64),
            "predicted": np.array([getattr(one, "predicted", -1) for one in outcomes], np.int64),
            "radius": np.array([getattr(one, "radius", 0.0) for one in outcomes], np.float64),
            "p_lower": np.array([getattr(one, "p_lower", np.nan) for one in outcomes], np.float64),
            "p_value": np.array([getattr(one, "p_value", np.nan) for one in outcomes], np.float64),
        }

    def to_pandas(self) -> "DataFrame":
        """Return ``arrays`` as a data frame, a row an image.

        Where the plan's classes have names, ``label_name`` and ``predicted_name`` say them, missing for none.

        Raises:
            BackendError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise BackendError("to_pandas needs pandas, which is not installed; run: pip install pandas") from error
        arrays = self.arrays()
        columns: dict[str, object] = dict(arrays)
        if names := self.class_names:
            for column in ("label", "predicted"):
                places = arrays[column].tolist()
                columns[f"{column}_name"] = [names[place] if 0 <= place < len(names) else None for place in places]
        return DataFrame(columns)

    @python_words()
    def model_card(self, name: str, radii: Iterable[float] = DEFAULT_RADII, *, rho: float = 1e-3) -> str:
        """Return a block for a Hugging Face model card: metrics in its model-index form, and the report in Markdown.

        Args:
            name: Of the model.
            radii: L2 radii in pixel units of [0, 1], a metric each.
            rho: Probability, at most, that more certificates are false than ``at_least`` subtracts.

        Raises:
            InputError: The run has no labels or claims no radius, or a number or the name is none.
        """
        return model_card([self._run], name, [plain_number("a radius", radius) for radius in radii], rho)

    def table(self) -> str:
        """Return the report of the run: its table, and what to know of it."""
        return table([summarise(self._run)])

    def __str__(self) -> str:
        """Return ``table``."""
        return self.table()
