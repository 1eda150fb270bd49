"""run.json: everything that fixes a run's result, and nothing else (no time, no host, no path)."""

import reprlib
from dataclasses import dataclass

import purecert
from purecert.engine.backends.base import BackendInfo
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset
from purecert.engine.noise.inputs import total_variation
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.drawing import top_class
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.lines import Line, dense_counts

RUN_SCHEMA = "purecert.run/5"
_LARGEST_SIZE = 2**31 - 1  # as of a plan: far past any image


@dataclass(frozen=True, kw_only=True, slots=True)
class DataRecord:
    """The images of a run: their name, and a digest of indices, pixels and labels."""

    name: str
    images: int
    fingerprint: str
    quantised: bool  # the source held floats; the certificate speaks of the 8-bit image
    classes: int


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
        sizes = (self.classes, *self.noise_elements)
        if not self.noise_elements or not all(1 <= size <= _LARGEST_SIZE for size in sizes):
            raise InputError(f"expected classes and noise elements in [1, {_LARGEST_SIZE}], got {reprlib.repr(sizes)}")

    @property
    def tv(self) -> float:
        """Return the total variation, at most, of one draw's noise from the ideal Gaussian."""
        return total_variation(self.noise_elements, self.spec.sigma)


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
