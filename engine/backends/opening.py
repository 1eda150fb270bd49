"""Opening a backend by name: its graph, its noise, and the row check before anything is counted."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, BackendInfo
from purecert.engine.backends.graph import HostGraph
from purecert.engine.backends.host import HostBackend
from purecert.engine.backends.opened import Opened
from purecert.engine.backends.row_check import check_rows
from purecert.engine.errors import BackendError, InputError, PurecertError
from purecert.engine.hardware import describe_cpu
from purecert.engine.noise.inputs import InputNoise, noise_of_inputs
from purecert.engine.plans.plan import Plan

# Name -> the extra of purecert that installs what it needs.
BACKENDS = {
    "onnxruntime": "cpu",
    "torch": "export",
    "torch-compiled": "export",
    "torch-cuda": "export",
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt-rtx",
    "onnxruntime-cuda": "gpu-ort",
    "onnxruntime-tensorrt": "gpu-ort-tensorrt",
}

_SEED_RANGE = 2**64
# Images that a graph on the host holds at once: where each asks for a few draws, they still fill a batch of 512.
HOST_SLOTS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendOptions:
    """What the user chooses of a backend; all of it is part of run.json, but for ``trust``."""

    name: str = "onnxruntime"
    batch: int = 256
    threads: int = 1
    probe_rows: int = 1000  # rows of the row check
    trust: bool = False  # load cached programs that this machine did not make

    def __post_init__(self) -> None:
        if self.name not in BACKENDS:
            raise InputError(f"expected a backend out of {', '.join(BACKENDS)}, got {self.name!r}")
        for what in ("batch", "threads", "probe_rows"):
            if getattr(self, what) < 1:
                raise InputError(f"expected {what} of at least 1, got {getattr(self, what)}")


def open_backend(
    plan: Plan, sigma: float, seed: int, options: BackendOptions, images: NDArray[np.uint8], indices: NDArray[np.int64]
) -> Backend:
    """Return a backend that passed its row check on noisy rows of ``images`` [n, C, H, W].

    Raises:
        InputError: The plan does not fit ``sigma`` or the images.
        BackendError: The backend is not installed, or cannot run the plan.
        CheckError: Rows influence each other.
    """
    try:
        opened = _open(plan, sigma, seed, options)
    except ModuleNotFoundError as error:
        raise BackendError(
            f"backend {options.name} needs the package {error.name}, which is not installed; "
            f"run: pip install 'purecert[{BACKENDS[options.name]}]'"
        ) from error
    return checked_backend(opened, plan, sigma, seed, options, images, indices)


def checked_backend(
    opened: Opened,
    plan: Plan,
    sigma: float,
    seed: int,
    options: BackendOptions,
    images: NDArray[np.uint8],
    indices: NDArray[np.int64],
) -> Backend:
    """Return the backend of what was ``opened``, after its row check; as ``open_backend``."""
    graph = opened.graph
    with _closed_on_failure(graph):
        expected, found = graph.inputs[0].shape[1:], images.shape[1:]
        if expected != found:
            raise InputError(f"expected images of shape {expected} (the plan's), got {found}")
        rows = _probe_rows(plan, sigma, seed, options, images, indices)
        placement, probed = check_rows(graph, rows, plan.record.classes)
        return opened.backend(
            BackendInfo(
                name=options.name,
                executed_precision=graph.executed_precision,
                versions=graph.versions,
                graph=graph.digest,
                nodes=graph.nodes,
                trusted=options.trust,
                hardware=opened.hardware,
                threads=options.threads,
                batch=options.batch,
                placement=placement,
                probed=probed,
                probe_rows=len(rows[0]),
            )
        )


@contextmanager
def _closed_on_failure(graph: HostGraph) -> Iterator[None]:
    try:
        yield
    except PurecertError:
        graph.close()
        raise


def _open(plan: Plan, sigma: float, seed: int, options: BackendOptions) -> Opened:
    noise = noise_of_inputs(plan.record.inputs, sigma, seed, options.threads)
    match options.name:
        case "onnxruntime" | "torch":
            return _open_host(plan, sigma, noise, options)
        case "torch-compiled" | "torch-cuda":
            from purecert.engine.backends.torch.opening import open_torch_device

            on_gpu = options.name == "torch-cuda"
            return open_torch_device(
                plan, sigma, noise, options.batch, options.threads, on_gpu=on_gpu, trust=options.trust
            )
        case "tensorrt" | "tensorrt-rtx" as library:
            from purecert.engine.backends.tensorrt.program import open_tensorrt

            return open_tensorrt(plan, sigma, noise, options.batch, library, trust=options.trust)
        case "onnxruntime-cuda":
            from purecert.engine.backends.onnxruntime.gpu import open_onnxruntime_cuda

            return open_onnxruntime_cuda(plan, sigma, noise, options.batch, options.threads)
        case "onnxruntime-tensorrt":
            from purecert.engine.backends.onnxruntime.tensorrt import open_onnxruntime_tensorrt

            return open_onnxruntime_tensorrt(plan, sigma, noise, options.batch, options.threads, trust=options.trust)
    raise AssertionError(f"no such backend: {options.name}")  # BackendOptions refuses other names


def _open_host(plan: Plan, sigma: float, noise: list[InputNoise], options: BackendOptions) -> Opened:
    graph = _open_graph(plan, sigma, options)
    return Opened(
        graph=graph,
        hardware=describe_cpu(),
        backend=lambda info: HostBackend(graph, noise, info, plan.record.classes, HOST_SLOTS),
    )


def _open_graph(plan: Plan, sigma: float, options: BackendOptions) -> HostGraph:
    if options.name == "torch":
        from purecert.engine.backends.torch.eager import TorchGraph

        return TorchGraph(plan, sigma, options.batch, options.threads, trust=options.trust)
    from purecert.engine.backends.onnxruntime.cpu import OrtGraph

    return OrtGraph(plan, sigma, options.batch, options.threads)


def _probe_rows(
    plan: Plan, sigma: float, seed: int, options: BackendOptions, images: NDArray[np.uint8], indices: NDArray[np.int64]
) -> list[NDArray[np.generic]]:
    """Return real noisy rows for the row check, whole batches of them, drawn under another key than the run's."""
    count = -(-options.probe_rows // options.batch) * options.batch
    used = np.arange(count) % min(len(images), count)
    addresses = np.stack([used, indices[used], np.zeros_like(used), np.arange(count), np.ones_like(used)], axis=1)
    rows: list[NDArray[np.generic]] = []
    for noise, entry in zip(
        noise_of_inputs(plan.record.inputs, sigma, (seed + 1) % _SEED_RANGE, options.threads),
        plan.record.inputs,
        strict=True,
    ):
        rows.append(np.zeros((count, *entry.shape), np.dtype(entry.dtype)))
        noise.fill(rows[-1], addresses, images)
    return rows
