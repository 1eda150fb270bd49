"""What every side of a comparison is asked for, and what its process found."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from purecert.engine.procedures.outcomes import Abstention, Certificate, Outcome
from purecert.engine.procedures.spec import SmoothingSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """Certificates to make, by whichever side."""

    spec: SmoothingSpec
    data: str
    data_dir: Path | None
    batch: int
    threads: int
    probe_rows: int = 1000

    @property
    def rows_per_image(self) -> int:
        """Return the draws of one certificate."""
        return self.spec.n_select + self.spec.n_estimate


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Certified:
    """What one process took for the certificates, and what it counted."""

    seconds: float  # importing, loading, opening and checking included; the start of Python is not
    loop_seconds: float  # from the first draw to the last certificate
    memory_peak: int  # bytes, resident
    executed_precision: str
    selected: NDArray[np.int64]  # [images, classes + 1], of the draws that pick the class
    votes: NDArray[np.int64]  # [images, classes + 1], of those that bound its probability
    outcomes: tuple[Outcome, ...]

    @property
    def samples_per_second(self) -> float:
        """Return the rows drawn, classified and counted in a second of the loop."""
        return int(self.selected.sum() + self.votes.sum()) / self.loop_seconds

    @property
    def mean_radius(self) -> float:
        """Return the mean of the radii, 0 where a side abstained."""
        return sum(one.radius for one in self.outcomes if isinstance(one, Certificate)) / len(self.outcomes)

    @property
    def abstained(self) -> int:
        """Return how many images have no answer."""
        return sum(isinstance(one, Abstention) for one in self.outcomes)
