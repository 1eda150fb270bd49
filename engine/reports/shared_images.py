"""Which runs are of the same images: only between those is the best one a choice that could flatter."""

from collections.abc import Sequence
from itertools import combinations

from purecert.engine.images.class_folders import without_mark
from purecert.engine.records.run import Run


def share_images(runs: Sequence[Run]) -> bool:
    """Return whether any two of ``runs`` are of one set of images, or have finished images of one data set in common.

    Images from memory are all of one name, so two arrays may pass for one set: then a note stands that need not.
    """
    return any(_share(one, other) for one, other in combinations(runs, 2))


def _share(one: Run, other: Run) -> bool:
    if one.record.data.fingerprint == other.record.data.fingerprint:
        return True
    indices = {line.index for line in one.lines}
    names = {without_mark(run.record.data.name) for run in (one, other)}
    return len(names) == 1 and any(line.index in indices for line in other.lines)
