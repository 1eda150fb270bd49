"""The votes of a batch, held against the right ones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, Segment
from purecert.engine.doctor.probes import small_plan
from purecert.engine.errors import UnusableError

REPORT = "report this as a fault, with the output of engine-doctor --json"


def counted(backend: Backend) -> str:
    """Return what computed, after a batch of the doctor's own plan whose votes are right.

    Raises:
        UnusableError: They are not.
    """
    votes = count(backend, small_plan.IMAGES, small_plan.SEGMENTS)
    right = small_plan.exact_counts()
    if not np.array_equal(votes, right):
        raise UnusableError(f"it counts the votes {votes.tolist()} where {right.tolist()} is right", REPORT)
    return what_ran(backend)


def what_ran(backend: Backend) -> str:
    """Return the precision and the packages that computed."""
    versions = ", ".join(f"{package} {version}" for package, version in backend.info.versions.items())
    return f"{backend.info.executed_precision}, {versions}"


def count(backend: Backend, images: NDArray[np.uint8], segments: Sequence[Segment]) -> NDArray[np.int64]:
    """Return the votes of the segments, after every image was placed."""
    for slot, image in enumerate(images):
        backend.place(slot, slot, image)
    return np.asarray(backend.submit(segments).result())
