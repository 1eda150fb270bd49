"""The row check's result in a plan's cache, under this machine's tag: found once for one engine on the same images.

Rounding does not look at the images, but a graph made to deceive could: one that minds the place only where a certain
image is in the batch would be checked on other images and then used on these. So the key holds what was checked (the
images that the rows are draws of, sigma, how many rows) beside what computes (graph, backend, versions, hardware, batch
and threads). It leaves out the seed: random seeds all give fresh draws of the same law. A check under a seed that was
given, or of somebody else's run, is not kept: its rows could have been known.
"""

import hashlib
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import BackendInfo, FoundRows
from purecert.engine.plans.compiled_files import compiled_file
from purecert.engine.plans.kept_findings import read_finding, write_finding
from purecert.engine.plans.plan import Plan

_SCHEMA = "purecert.row-check/3"  # of the check itself too: another one finds other things
_FOUND_BY_CHECK = ("placement", "probed")


class RowCheckCache:
    """Where the result of one check is kept."""

    def __init__(
        self, plan: Plan, sigma: float, info: BackendInfo, images: NDArray[np.uint8], effort: tuple[int, int]
    ) -> None:
        """Prepare for the check of ``info``, whose findings are not read, on draws of ``images`` [n, C, H, W].

        ``effort`` is how many permutations it takes, and of how many images a batch.
        """
        self._plan, self._sigma, self._info, self._images, self._effort = plan, sigma, info, images, effort

    @cached_property
    def _place(self) -> tuple[Path, str]:
        """Return the file, and a digest of all that its content is true of; every pixel is read for it."""
        computes = {name: value for name, value in asdict(self._info).items() if name not in _FOUND_BY_CHECK}
        checked: dict[str, Any] = {
            "effort": list(self._effort),
            "sigma": self._sigma,
            "shape": list(self._images.shape),
            "pixels": hashlib.sha256(np.ascontiguousarray(self._images).data).hexdigest(),
        }
        return compiled_file(self._plan, self._sigma, "rows", ".json", _SCHEMA, computes | checked)

    def read(self) -> FoundRows | None:
        """Return what this machine found before; None where there is nothing, or nothing that it wrote itself."""
        return read_finding(FoundRows, *self._place, "the row check is run again")

    def write(self, found: FoundRows) -> None:
        """Keep what was found; a plan that cannot be written to is used as it is, and checked again next time."""
        write_finding(found, *self._place, "the row check's result")
