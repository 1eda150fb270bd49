"""run.json: everything that fixes a run's result, and nothing else (no time, no host, no path)."""

from dataclasses import asdict, dataclass, fields

import purecert
from purecert.engine.backends.base import BackendInfo
from purecert.engine.images.datasets import Dataset
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.spec import Mode, SmoothingSpec, StopSpec

RUN_SCHEMA = "purecert.run/3"


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendRecord:
    """The engine that classified the rows; another one is another classifier."""

    name: str
    executed_precision: str  # what was really computed in, whatever the graph's files say
    versions: dict[str, str]  # package -> version
    graph: str  # SHA-256 of the file that ran: the ONNX graph, or the exported torch program
    nodes: dict[str, int]  # provider of the runtime -> how many of the graph's nodes it ran; empty where it has none
    trusted: bool  # that file was loaded on the user's word, without this machine's tag being asked for
    hardware: str
    threads: int
    batch: int  # rows of one call of the graph
    placement: str  # "row_invariant", or "static" (row = draw mod batch, one image at a time)
    probed: str  # what the row check compared bit for bit: "logits", or "labels" where the graph holds no logits
    probe_rows: int
    gated: bool  # the export gate measured this backend at this precision


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
    mode: Mode
    sigma: float
    n_select: int
    n_estimate: int
    alpha: float
    stop: StopSpec | None  # when to stop before n_estimate draws; None: never
    against_label: bool  # the class was given, by the data's label
    seed: int
    seed_given: bool  # by hand: marked in reports, because models could be tuned on its draws
    plan: str  # SHA-256 of plan.json
    precision: str  # of the plan's graph
    parity_reduced: bool
    purifier: str
    time_rule: str
    t: float | None
    classes: int
    noise_elements: tuple[int, ...]  # noise values per row of each graph input; fixes tv_budget
    data: DataRecord
    backend: BackendRecord

    @property
    def spec(self) -> SmoothingSpec:
        """Return the sampling plan of this run."""
        return SmoothingSpec(**{field.name: getattr(self, field.name) for field in fields(SmoothingSpec)})


def make_record(
    plan: Plan, dataset: Dataset, spec: SmoothingSpec, info: BackendInfo, *, seed: int, seed_given: bool
) -> RunRecord:
    """Return the record of a run of ``plan`` on ``dataset``.

    Raises:
        InputError: The plan holds no graph of the spec's sigma.
    """
    parity = plan.record.parity
    gated = any(
        (measured.backend, measured.executed_precision) == (info.name, info.executed_precision)
        and (not measured.files or info.graph in measured.files)
        for measured in parity
    )
    return RunRecord(
        schema=RUN_SCHEMA,
        purecert=purecert.__version__,
        **{field.name: getattr(spec, field.name) for field in fields(spec)},
        seed=seed,
        seed_given=seed_given,
        plan=plan.digest,
        precision=plan.record.precision,
        parity_reduced=any(measured.reduced for measured in parity),
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
        backend=BackendRecord(**asdict(info), gated=gated),
    )
