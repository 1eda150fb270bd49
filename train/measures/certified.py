"""Certified accuracy of a model from finished runs of the engine on its exported plan."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset
from purecert.engine.plans.plan import read_plan
from purecert.engine.procedures.spec import DEFAULT_RADII
from purecert.engine.records.run import Run, read_run
from purecert.engine.records.sources import read_sources
from purecert.engine.reports.summary import summarise


@dataclass(frozen=True, kw_only=True, slots=True)
class Certified:
    """What one run certifies."""

    model: str  # SHA-256 of the model.pt that its plan was made from
    run: str  # name of its folder
    sigma: float
    data: str
    fingerprint: str  # of its images
    images: int
    n: int  # draws that estimate, at most
    alpha: float
    radii: tuple[float, ...]
    accuracy: tuple[float, ...]  # share of the images certified to be right out to each radius
    marks: tuple[str, ...]  # what to know before trusting it


def certified_accuracy(run: Path, radii: Sequence[float] = DEFAULT_RADII, *, among: Dataset | None = None) -> Certified:
    """Return what the run in a folder certifies at ``radii``, each in [0, 1] pixel units.

    The plan that the run was made with says which model it is of; its digest must be the run's. Of ``among`` the run's
    images must be all or some, byte for byte and with their labels; None: any.

    Raises:
        InputError: There is no finished certification run of labelled images, or it is of other images, or the plan is
            gone, another, or of no model.pt.
    """
    read = read_run(run)
    if len(read.lines) < read.record.data.images:
        raise InputError(
            f"{run}: expected a finished run, found {len(read.lines)} of {read.record.data.images} images; --resume it"
        )
    if among is not None and not _are_among(among, read):
        raise InputError(f"{run}: a run on other images than those of --data, {among.name}; leave it out")
    plan = read_plan(read_sources(run).plan)
    if plan.digest != read.record.plan:
        raise InputError(f"{run}: expected the plan that it was made with at {plan.directory}, found another")
    if not plan.record.model_sha256:
        raise InputError(f"{run}: expected a plan that was exported from a model.pt, found one of another origin")
    summary = summarise(read, radii)
    if not summary.certified_at:
        raise InputError(f"{run}: expected a run of engine-certify on images with labels, found another")
    return Certified(
        model=plan.record.model_sha256,
        run=summary.run,
        sigma=summary.sigma,
        data=summary.data,
        fingerprint=read.record.data.fingerprint,
        images=summary.images,
        n=summary.n_estimate,
        alpha=summary.alpha,
        radii=tuple(point.radius for point in summary.certified_at),
        accuracy=tuple(point.images / summary.images for point in summary.certified_at),
        marks=summary.marks,
    )


def _are_among(data: Dataset, run: Run) -> bool:
    place_of = {index: place for place, index in enumerate(data.indices.tolist())}
    indices = [line.index for line in run.lines]
    if data.labels is None or not place_of.keys() >= set(indices):
        return False
    places = [place_of[index] for index in indices]
    those = replace(data, indices=data.indices[places], images=data.images[places], labels=data.labels[places])
    return those.fingerprint == run.record.data.fingerprint
