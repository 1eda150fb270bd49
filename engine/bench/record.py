"""What a benchmark says: its rows, what they ran on, and what they are compared with; as JSON without paths or host."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

from purecert.engine.bench.agreement import Agreement
from purecert.engine.bench.cpu_peak import Peak
from purecert.engine.bench.latency import Latency

BENCH_SCHEMA = "purecert.bench/1"

# Cohen et al.'s CERTIFY: this many draws pick the class, and this many bound its probability.
SELECTION_DRAWS, ESTIMATION_DRAWS = 100, 100_000

Verdict = Literal["VALID", "INVALID"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RowName:
    """Which row this is."""

    name: str  # of the backend, or "eager"
    variant: str  # of a baseline: its layout or precision setting; empty for a backend
    is_baseline: bool
    batch: int

    @property
    def title(self) -> str:
        """Return the row's name without its batch."""
        return f"{self.name} {self.variant}".strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """How many operations a second a row did, and what that is of what the hardware allows."""

    flops_per_second: float
    peak: Peak  # theoretical, at the row's executed precision
    share_of_peak: float | None
    matrix_flops_per_second: float | None  # of a large matrix product in PyTorch, same device and precision
    share_of_matrix_rate: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """How often a row does the work of another one."""

    to: str
    batch: int  # of that other row
    times: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredRow:
    """One backend, precision and batch, measured in a process of its own."""

    row: RowName
    executed_precision: str
    device: str  # "cpu", or "accelerator"
    hardware: str
    threads: int
    placement: str | None  # of rows in the batch; None for a baseline
    versions: dict[str, str]
    build_seconds: float  # of compiling the graph on this machine, now or earlier; 0 where nothing is compiled
    open_seconds: float  # importing the runtime, loading, building where needed, and the row check
    warm_up_seconds: float
    latency: Latency  # one batch, submitted alone and waited for
    latency_seconds: float  # that measuring it took
    samples_per_second: float  # of whole submissions, two in flight; of a baseline, batch after batch
    throughput_rows: int
    throughput_seconds: float
    seconds_per_certificate: float  # derived: (100 + 100,000) draws at samples_per_second
    device_memory_peak: int | None  # bytes; None where there is no accelerator
    host_memory_peak: int  # bytes of the row's process, resident
    agreement: Agreement | None  # with eager FP32; None where it was not checked
    agreement_limit: float | None
    speed: Speed | None  # None where the graph's operations are not known
    ratios: tuple[Ratio, ...]
    verdict: Verdict
    reasons: tuple[str, ...]  # why it is INVALID


@dataclass(frozen=True, kw_only=True, slots=True)
class UnusableRow:
    """A row that could not be measured here."""

    row: RowName
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchMachine:
    """What the rows ran on."""

    cpu: str
    processors: int  # that this process may use
    threads: int
    accelerator: str | None
    versions: dict[str, str]

    @property
    def title(self) -> str:
        """Return what computes in a few words."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.cpu}, {threads}" + (f", {self.accelerator}" if self.accelerator else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the command was asked for, without paths."""

    plan: str
    model: str | None
    data: str
    images: int  # that the data holds
    sigma: float
    backends: tuple[str, ...]
    batches: tuple[int, ...]
    threads: int
    seconds: float
    probe_rows: int
    agreement_draws: int
    trust_plan: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark:
    """One call of engine-bench."""

    schema: str
    purecert: str  # version
    options: Options
    plan: str  # SHA-256 of plan.json
    precision: str  # of the plan's graph
    purifier: str
    seed: int  # of the noise on which labels are compared
    machine: BenchMachine
    flops_per_row: int | None  # of the plan's graph; baselines are charged the same, though they fold nothing
    flops_note: str  # why they are not known; empty where they are
    reference_note: str  # why there are no labels of eager FP32; empty where there are
    reference_top_share: float | None  # of the draws that have eager FP32's commonest label; None where there are none
    rows: tuple[MeasuredRow | UnusableRow, ...]

    def to_json(self) -> str:
        """Return the benchmark as one JSON object; a row holds ``reason`` where it could not be measured."""
        return json.dumps(asdict(self), allow_nan=False)
