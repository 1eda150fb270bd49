"""Records as a real run and a real export would write them, made without running either."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from purecert.engine.backends.base import BackendInfo
from purecert.engine.files.canonical import canonical_json, sha256_hex
from purecert.engine.plans.plan import PLAN_SCHEMA, GraphInput, Parity, PlanRecord, SigmaGraph
from purecert.engine.procedures.outcomes import Abstention, Certificate, Prediction
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.ledger import Ledger, opened_run
from purecert.engine.records.lines import INVALID, Line
from purecert.engine.records.run_record import RUN_SCHEMA, DataRecord, RunRecord

BACKEND = BackendInfo(
    name="onnxruntime",
    executed_precision="fp32",
    versions={"onnxruntime": "1.2.3"},
    graph="a" * 64,
    nodes={},
    trusted=False,
    hardware="a processor",
    threads=2,
    batch=64,
    placement="row_invariant",
    probed="logits",
    probe_rows=1024,
)
DATA = DataRecord(name="digits:test", images=20, fingerprint="f" * 64, quantised=False, classes=10)
RUN = RunRecord(
    schema=RUN_SCHEMA,
    purecert="0.1.0",
    spec=SmoothingSpec(mode="certify", sigma=0.5, n_select=100, n_estimate=1000, alpha=1e-3),
    seed=2**64 - 1,
    seed_given=False,
    plan="a" * 64,
    precision="fp32",
    parity_reduced=False,
    purifier="identity",
    time_rule="none",
    t=None,
    classes=10,
    noise_elements=(784, 12),
    data=DATA,
    backend=BACKEND,
    gated=True,
)
PLAN = PlanRecord(
    schema=PLAN_SCHEMA,
    inputs=(
        GraphInput(name="pixels", shape=(3, 4, 5), dtype="float16"),
        GraphInput(name="noise_1", shape=(2, 3, 4, 5), dtype="float16"),
    ),
    classes=3,
    class_names=("cat", "dog", "Füchsin"),
    graphs=(
        SigmaGraph(sigma=0.25, file="sigma-0.25.onnx", sha256=sha256_hex(b"graph of 0.25"), t=-0.75),
        SigmaGraph(sigma=0.5, file="sigma-0.5.onnx", sha256=sha256_hex(b"graph of 0.5"), t=None),
    ),
    precision="fp16",
    purifier="one step",
    time_rule="sigma",
    fp32_islands={"classifier.norm": "divides"},
    logits="logits",
    exporter={"onnx": "1.2.3"},
    parity=(
        Parity(
            backend="torch",
            executed_precision="fp16",
            draws=20_000,
            images=20,
            agreement=0.999,
            net_loss_mean=0.0,
            net_loss_worst=1e-4,
            reduced=False,
            files=(),
        ),
    ),
    model_sha256="b" * 64,
    data=None,
    sources=("tests",),
    licence="none",
)


def certified(index: int, label: int | None = 3) -> Line:
    """Return a row that claims class 3, with counts of two phases and some invalid rows."""
    outcome = Certificate(predicted=3, p_lower=0.9 + index / 1000, radius=0.1 * (index + 1) / 3)
    return Line(index=index, label=label, outcome=outcome, counts=({"3": 99, "1": 1}, {"3": 990, INVALID: 10}))


def mixed_rows(count: int) -> list[Line]:
    """Return ``count`` rows of every kind of outcome and label, at indices as a sparse slice has them."""
    rows = [certified(7 * i) for i in range(count)]
    for i in range(1, count, 3):
        rows[i] = replace(rows[i], outcome=Abstention(), label=None)
    for i in range(2, count, 3):
        rows[i] = replace(rows[i], outcome=Prediction(predicted=i, p_value=1e-9 * i), counts=({"0": 1},))
    return rows


def with_spec(record: RunRecord, **changes: Any) -> RunRecord:
    """Return ``record`` with another sampling plan."""
    return replace(record, spec=replace(record.spec, **changes))


@contextmanager
def begun(directory: Path, record: RunRecord = RUN, invocation: dict[str, object] | None = None) -> Iterator[Ledger]:
    """Open the run in ``directory``, begun if need be, for its next line."""
    with opened_run(directory, resume=True) as ledger:
        ledger.begin(record, invocation or {})
        yield ledger


def write_run(directory: Path, rows: Iterable[Line], record: RunRecord = RUN) -> Path:
    """Append ``rows`` to the run in ``directory``, begun if need be; return its ledger."""
    with begun(directory, record) as ledger:
        for row in rows:
            ledger.append(row, seconds=0.25)
    return directory / "certificates.jsonl"


def replace_run(directory: Path, record: RunRecord = RUN) -> None:
    """Begin a new run in ``directory``, whatever run is there."""
    with opened_run(directory, force=True) as ledger:
        ledger.begin(record, {})


def forged(line: str, **changes: object) -> str:
    """Return a ledger line with changed fields and a right checksum, as somebody who knows the format would write."""
    body = json.loads(line) | changes
    del body["check"]
    return canonical_json(body | {"check": sha256_hex(canonical_json(body).encode())[:16]})
