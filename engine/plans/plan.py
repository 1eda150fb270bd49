"""The plan directory: one ONNX graph per sigma and plan.json, which fixes what they are."""

import json
import math
import reprlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex, write_atomically
from purecert.engine.files.strict_json import read_document
from purecert.engine.plans.allowed_operators import MAX_FILE_BYTES
from purecert.engine.plans.graph_check import ExpectedEnds, check_graph, is_finite_inside

PLAN_SCHEMA = "purecert.plan/3"
PLAN_FILE = "plan.json"
CACHE_DIRECTORY = "cache"
BATCH_DIMENSION = "batch"  # name of the one dimension that the graphs leave open

_MAX_CLASSES = 1_000_000  # far past any classifier, and small enough for counts of every class
_MAX_ELEMENTS = 2**31 - 1  # values per row: far past any image, and small enough for every size computed from it

_MAX_RECORD_BYTES = 2**26  # a plan.json of a million classes with names has half of that

Precision = Literal["fp32", "fp16", "bf16", "int8"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphInput:
    """One input of the fused graph: the noisy pixels, or a random purifier's extra noise.

    ``shape`` is without the batch dimension: (C, H, W) for ``pixels``, (k, C, H, W) for ``noise_1`` and on.
    Values are integers (the noise contract, kernels/README.md), carried in ``dtype``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Literal["float32", "float16"]

    @property
    def elements(self) -> int:
        """Return the number of noise values that one row of this input holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class SigmaGraph:
    """The graph of one sigma: its file beside plan.json, that file's digest, and the time the purifier used."""

    sigma: float  # noise std in [0, 1] pixel units
    file: str
    sha256: str
    t: float | None  # purifier time on the [-1, 1] scale; None where the purifier has none


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """What the export gate measured on one backend, against the votes of eager FP32."""

    backend: str
    executed_precision: str
    draws: int
    images: int
    agreement: float  # share of draws with the same label
    net_loss_mean: float  # mean over images of (eager votes - plan votes) of eager's class / draws
    net_loss_worst: float
    reduced: bool  # fewer draws than the gate's default
    files: tuple[str, ...]  # SHA-256 of the compiled files that ran; empty where the plan's own graphs did


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanRecord:
    """The content of plan.json."""

    schema: str
    inputs: tuple[GraphInput, ...]
    classes: int
    class_names: tuple[str, ...]
    graphs: tuple[SigmaGraph, ...]
    precision: Precision
    purifier: str
    time_rule: str
    fp32_islands: dict[str, str]  # path of a module kept in FP32 inside a graph of another precision -> why
    logits: str | None  # name of the tensor that label is taken from, for probes; None where there is none
    exporter: dict[str, str]  # package -> version
    parity: tuple[Parity, ...]
    model_sha256: str
    data: str | None  # where the parity images came from
    sources: tuple[str, ...]
    licence: str
    choices: tuple[str, ...] = ()  # what the checkpoints left open and their import decided; absent where there is none


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A plan that was read and checked: its folder, its record, and the digest of plan.json."""

    directory: Path
    record: PlanRecord
    digest: str

    @property
    def noise_elements(self) -> tuple[int, ...]:
        """Return how many noise values a row takes, of each input of its graphs."""
        return tuple(graph_input.elements for graph_input in self.record.inputs)

    def graph(self, sigma: float) -> SigmaGraph:
        """Return the graph of ``sigma``.

        Raises:
            InputError: The plan holds no graph for exactly this sigma.
        """
        for graph in self.record.graphs:
            if graph.sigma == sigma:
                return graph
        held = ", ".join(str(graph.sigma) for graph in self.record.graphs)
        raise InputError(
            f"{self.directory}: the plan was fused for sigma {held}, asked for {sigma}; "
            f"choose one of these, or re-export with `engine-export --sigma {sigma}`"
        )

    def read_graph(self, sigma: float) -> bytes:
        """Return the ONNX bytes of ``sigma``, after checking them against plan.json and what a plan may hold.

        Every runtime gets its graph from here, so none sees one that was not checked.

        Raises:
            InputError: No graph for ``sigma``, no file, other bytes than plan.json names, or a graph that no plan may
                hold (``graph_check.py``).
        """
        graph = self.graph(sigma)
        path = self.directory / graph.file
        content = _read_file(path, MAX_FILE_BYTES)
        found = sha256_hex(content)
        if found != graph.sha256:
            raise InputError(
                f"{path}: expected SHA-256 {graph.sha256} (plan.json), found {found}; "
                "the file was changed or cut short: copy or export the plan again"
            )
        try:
            check_graph(content, ends_of(self.record))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        return content

    @property
    def has_program(self) -> bool:
        """Return whether PyTorch made the graphs, so that a program of it was kept; ONNX files have none."""
        return "torch" in self.record.exporter or "onnx" not in self.record.exporter

    def is_finite_inside(self, sigma: float) -> bool:
        """Return whether a bound shows that no row can overflow in the graph of ``sigma``; raises as ``read_graph``."""
        return is_finite_inside(self.read_graph(sigma), ends_of(self.record))

    def check_program(self) -> None:
        """Refuse a plan that has no program of PyTorch.

        Raises:
            InputError: It has none.
        """
        if not self.has_program:
            made = "in INT8" if self.record.precision == "int8" else "from an ONNX file"
            raise InputError(
                f"{self.directory}: made {made}, without a program of PyTorch; use --backend onnxruntime or openvino"
            )

    def cached_program(self, sigma: float) -> Path:
        """Return where this machine keeps the exported torch program of ``sigma`` (it may be absent)."""
        return self.directory / CACHE_DIRECTORY / (Path(self.graph(sigma).file).stem + ".pt2")


def ends_of(record: PlanRecord) -> ExpectedEnds:
    """Return what plan.json says of its graphs' inputs and outputs."""
    inputs = {entry.name: (entry.dtype, entry.shape) for entry in record.inputs}
    return ExpectedEnds(inputs=inputs, logits=record.logits, classes=record.classes)


def read_plan(directory: Path) -> Plan:
    """Return the plan in ``directory``, its plan.json checked field by field.

    The graphs are checked against their digests when they are read (``Plan.read_graph``).

    Raises:
        InputError: There is no such plan, or plan.json is not one that this version reads.
    """
    if not directory.is_dir():
        came = "a file" if directory.exists() else "nothing there"
        raise InputError(f"{directory}: expected a plan directory, found {came}; make one with `engine-export`")
    path = directory / PLAN_FILE
    content = _read_file(path, _MAX_RECORD_BYTES)
    record = read_document(
        PlanRecord,
        path,
        content,
        PLAN_SCHEMA,
        damaged="copy or export the plan again",
        other_version="export again with this version",
        older={PLAN_SCHEMA: _with_choices},
    )
    _check(record, path)
    return Plan(directory=directory, record=record, digest=sha256_hex(content))


def _with_choices(value: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a plan.json with a field that older plans, and all without choices, lack."""
    return {"choices": [], **value}


def write_plan(directory: Path, record: PlanRecord) -> Plan:
    """Write plan.json into ``directory`` (whose graphs are in place) and return the plan as read back."""
    _check(record, directory / PLAN_FILE)
    values = {name: value for name, value in asdict(record).items() if value or name != "choices"}
    content = json.dumps(values, indent=1, allow_nan=False) + "\n"
    write_atomically(directory / PLAN_FILE, content.encode())
    return read_plan(directory)


def _read_file(path: Path, limit: int) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise InputError(f"{path}: expected a regular file, found none; copy or export the plan again")
    if (size := path.stat().st_size) > limit:
        raise InputError(f"{path}: expected at most {limit} bytes, found {size}; copy or export the plan again")
    return path.read_bytes()


def _check(record: PlanRecord, path: Path) -> None:
    problem = (
        _graph_problem(record) or _input_problem(record.inputs) or _class_problem(record.classes, record.class_names)
    )
    if problem:
        raise InputError(f"{path}: {problem}; export the plan again")


def _graph_problem(record: PlanRecord) -> str | None:
    sigmas = [graph.sigma for graph in record.graphs]
    if not sigmas or len(set(sigmas)) < len(sigmas):
        return f"expected at least one graph and one per sigma, found sigmas {sigmas}"
    for graph in record.graphs:
        if not (graph.sigma > 0 and math.isfinite(graph.sigma)):
            return f"expected sigma > 0, found {graph.sigma}"
        # A name with a separator could lead out of the plan directory.
        if Path(graph.file).name != graph.file or not graph.file.endswith(".onnx"):
            return f"expected graph files named NAME.onnx beside plan.json, found {graph.file!r}"
    return None


def _input_problem(inputs: tuple[GraphInput, ...]) -> str | None:
    names = [graph_input.name for graph_input in inputs]
    expected = ["pixels", *(f"noise_{number}" for number in range(1, len(inputs)))]
    if names != expected:
        return f"expected inputs {expected}, found {names}"
    if len(inputs[0].shape) != 3 or any(len(extra.shape) != 4 for extra in inputs[1:]):
        return "expected pixels of 3 dimensions (C, H, W) and noises of 4 (k, C, H, W)"
    if any(size < 1 for graph_input in inputs for size in graph_input.shape):
        return "expected input sizes of at least 1"
    if any(graph_input.elements > _MAX_ELEMENTS for graph_input in inputs):
        return f"expected at most {_MAX_ELEMENTS} values per row of an input"
    return None


def _class_problem(classes: int, class_names: tuple[str, ...]) -> str | None:
    if not 2 <= classes <= _MAX_CLASSES:
        return f"expected 2 to {_MAX_CLASSES} classes, found {reprlib.repr(classes)}"
    if class_names and len(class_names) != classes:
        return f"expected {classes} class names or none, found {len(class_names)}"
    return None
