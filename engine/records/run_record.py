"""run.json: everything that fixes a run's result, and nothing else (no time, no host, no path); and its marks."""

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import purecert
from purecert.engine.backends.base import BackendInfo, BackendOptions
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset
from purecert.engine.noise.inputs import total_variation
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.drawing import top_class
from purecert.engine.procedures.placement import is_sound, misfit
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.lines import Line, dense_counts

_FULL_ROW_CHECK = 1000
RUN_SCHEMA = "purecert.run/7"
_LARGEST_SIZE = 2**31 - 1  # as of a plan: far past any image
_MOST_CLASSES = 1_000_000  # as of a plan
_MOST_IMAGES = 2**32  # a draw is addressed by 32 bits of its image (kernels/README.md)
_MOST_EXTENTS = 100  # that a run had before: each is a record whose digest lines carry
_MOST_INPUTS = 1000  # of a graph: so many leave the noise's deviation far below 1
_SEEDS = 2**64


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierImages:
    """How far a run's images went at some time: which, how many, and their digest."""

    slice: str | None
    images: int
    fingerprint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DataRecord:
    """The images of a run: their name, and a digest of indices, pixels and labels."""

    name: str
    slice: str | None  # which images of it, and of how many; None in a run of before schema 5
    images: int
    fingerprint: str
    quantised: bool  # the source held floats; the certificate speaks of the 8-bit image
    classes: int
    earlier: tuple[EarlierImages, ...] = ()  # of what the run was finished before it was continued to more images

    def __post_init__(self) -> None:
        ends = [0, *(extent.images for extent in self.earlier), self.images]
        is_growing = all(few < more for few, more in pairwise(ends))
        _require(is_growing or not self.earlier, "images that a run had before to be ever more", ends)
        times = len(self.earlier)
        _require(times <= _MOST_EXTENTS, f"a run to get more images at most {_MOST_EXTENTS} times", times)
        _require(1 <= self.images <= _MOST_IMAGES, f"images in [1, {_MOST_IMAGES}]", self.images)
        _require(0 <= self.classes <= _LARGEST_SIZE, f"classes of the data in [0, {_LARGEST_SIZE}]", self.classes)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """The content of run.json."""

    schema: str
    purecert: str  # version
    spec: SmoothingSpec  # the sampling plan
    seed: int
    seed_given: bool  # by hand: marked in reports, because models could be tuned on its draws
    plan: str  # SHA-256 of plan.json
    precision: str  # of the plan's graph
    parity_reduced: bool
    purifier: str
    time_rule: str
    t: float | None
    classes: int
    noise_elements: tuple[int, ...]  # noise values per row of each graph input; fixes tv
    data: DataRecord
    backend: BackendInfo  # the engine that classified the rows; another one is another classifier
    gated: bool  # the export gate measured this backend at this precision

    def __post_init__(self) -> None:
        elements = self.noise_elements
        is_noise = bool(elements) and all(1 <= size <= _LARGEST_SIZE for size in elements)
        _require(is_noise, f"noise elements in [1, {_LARGEST_SIZE}]", elements)
        _require(len(elements) <= _MOST_INPUTS, f"noise of at most {_MOST_INPUTS} inputs", len(elements))
        _require(2 <= self.classes <= _MOST_CLASSES, f"classes in [2, {_MOST_CLASSES}]", self.classes)
        _require(0 <= self.seed < _SEEDS, "a seed in [0, 2^64)", self.seed)
        _ = self.tv  # refuses a sigma whose noise cannot be drawn
        _check_backend(self.backend)

    @property
    def tv(self) -> float:
        """Return the total variation, at most, of one draw's noise from the ideal Gaussian."""
        return total_variation(self.noise_elements, self.spec.sigma)

    @property
    def placement_problem(self) -> str | None:
        """Return why the bounds of this run do not hold where its rows lay; None where they do (docs/placement.md)."""
        is_static, batch = self.backend.placement == "static", self.backend.batch
        return None if is_sound(self.spec, is_static=is_static, batch=batch) else self.step_problem

    @property
    def step_problem(self) -> str | None:
        """Return why no run of today's version has such draws where its rows lay; None where one may."""
        return misfit(self.spec, is_static=self.backend.placement == "static", batch=self.backend.batch)


def _check_backend(info: BackendInfo) -> None:
    """Refuse numbers that no backend can be asked for; a backend without threads or a row check of its own has 0."""
    counts = (info.threads, info.probe_rows, *info.nodes.values())
    _require(all(0 <= count <= _LARGEST_SIZE for count in counts), f"counts in [0, {_LARGEST_SIZE}]", counts)
    _ = BackendOptions(
        name=info.name, batch=info.batch, threads=max(1, info.threads), probe_rows=max(1, info.probe_rows)
    )


def _require(condition: bool, expected: str, came: object) -> None:
    if not condition:
        raise InputError(f"expected {expected}, got {reprlib.repr(came)}")


def make_record(
    plan: Plan, dataset: Dataset, spec: SmoothingSpec, info: BackendInfo, *, seed: int, seed_given: bool
) -> RunRecord:
    """Return the record of a run of ``plan`` on ``dataset``.

    Raises:
        InputError: The plan holds no graph of the spec's sigma.
    """
    return RunRecord(
        schema=RUN_SCHEMA,
        purecert=purecert.__version__,
        spec=spec,
        seed=seed,
        seed_given=seed_given,
        plan=plan.digest,
        precision=plan.record.precision,
        parity_reduced=any(measured.reduced for measured in plan.record.parity),
        purifier=plan.record.purifier,
        time_rule=plan.record.time_rule,
        t=plan.graph(spec.sigma).t,
        classes=plan.record.classes,
        noise_elements=plan.noise_elements,
        data=DataRecord(
            name=dataset.name,
            slice=dataset.slice,
            images=len(dataset),
            fingerprint=dataset.fingerprint,
            quantised=dataset.quantised,
            classes=dataset.classes,
        ),
        backend=info,
        gated=_is_gated(plan, info),
    )


def _is_gated(plan: Plan, info: BackendInfo) -> bool:
    return any(
        (measured.backend, measured.executed_precision) == (info.name, info.executed_precision)
        and (not measured.files or info.graph in measured.files)
        for measured in plan.record.parity
    )


def class_counted(record: RunRecord, line: Line) -> int | None:
    """Return the class that the draws of the last phase speak of; None where no valid draw named one."""
    return line.label if record.spec.against_label else top_class(dense_counts(line.counts[0], record.classes))


def marks_of(record: RunRecord, images: int) -> tuple[str, ...]:
    """Return the marks of a run of which ``images`` are finished: what to know before trusting its numbers."""
    return tuple(_marks(record, images))


def _marks(record: RunRecord, images: int) -> Iterator[str]:
    if images < record.data.images:
        yield f"incomplete: {images} of {record.data.images} images are finished, and only they are counted"
    if earlier := record.data.earlier:
        begun = " and then ".join(str(extent.images) for extent in earlier)
        yield (
            f"more images later: begun with {begun}, and continued when their results could be seen; what is said of "
            'all images together, so every share named "at least", supposes a number fixed in advance'
        )
    if record.spec.against_label:
        yield "class given: label; nothing is claimed of other classes"
    if record.seed_given:
        yield "seed given: it was chosen by hand, so models could have been tuned on its draws"
    if record.parity_reduced:
        yield "parity reduced: the export gate compared fewer draws than its default"
    if record.data.quantised:
        yield "quantised data: the source holds floats; the certificates speak of their 8-bit roundings"
    yield from _backend_marks(record)


def _backend_marks(record: RunRecord) -> Iterator[str]:
    backend = record.backend
    if not record.gated:
        yield f"not gated: no export gate measured {backend.name} in {backend.executed_precision}"
    if backend.executed_precision != record.precision:
        yield f"executed precision: {backend.executed_precision}, where the plan says {record.precision}"
    if record.placement_problem is not None:
        yield f"not covered: {record.placement_problem}; run it again with this version"
    if backend.placement != "row_invariant":
        yield f"not row-invariant: certified image after image, in batches of {backend.batch} at fixed places"
    if backend.probed != "logits":
        yield f"rows checked by {backend.probed} only: the graph holds no logits to compare"
    if backend.probe_rows < _FULL_ROW_CHECK:
        yield f"row check reduced: {backend.probe_rows} rows, where {_FULL_ROW_CHECK} are the default"
    if backend.trusted:
        yield "not checked: cached programs were loaded without this machine's tag (--trust-plan)"
