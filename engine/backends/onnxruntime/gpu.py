"""ONNX Runtime on a GPU, its inputs and labels bound to memory that our kernels write and read on one stream."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
import onnxruntime as ort

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.device.array import DeviceArray
from purecert.engine.backends.device.opening import open_device
from purecert.engine.backends.device.program import DeviceProgram
from purecert.engine.backends.device.pycuda_queue import PycudaQueue
from purecert.engine.backends.device.queue import DeviceQueue
from purecert.engine.backends.failures import batch_failure
from purecert.engine.backends.graph import Opened
from purecert.engine.backends.onnxruntime.loaded_libraries import loaded_versions
from purecert.engine.backends.onnxruntime.session import Bound, Provider, bind, node_counts, open_session
from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.plan import GraphInput, Plan
from purecert.engine.plans.protocol_buffers import with_output

_ELEMENTS = {"tensor(float)": "float32", "tensor(float16)": "float16"}


def cuda_provider(stream: int, *, captures: bool) -> Provider:
    """Return what runs graphs by CUDA's libraries on ``stream``; ``captures`` repeats its work as a CUDA graph."""
    return Provider(
        name="CUDAExecutionProvider",
        options={
            "device_id": "0",  # CUDA_VISIBLE_DEVICES says which one that is
            "user_compute_stream": str(stream),
            "enable_cuda_graph": "1" if captures else "0",
            # The default tries every algorithm: another process may choose another, and a resumed run must be the
            # same function.
            "cudnn_conv_algo_search": "HEURISTIC",
            "use_tf32": "0",  # FP32 islands are FP32
        },
    )


def open_onnxruntime_cuda(plan: Plan, sigma: float, noise: Sequence[InputNoise], options: BackendOptions) -> Opened:
    """Return the plan's ONNX graph of ``sigma`` on the GPU.

    Raises:
        InputError: The plan holds no such graph, or not the bytes that it names.
        BackendError: There is no GPU, or a node of the graph cannot run there.
        OutOfMemoryError: The batch takes more memory than there is.
    """
    queue = PycudaQueue()

    def load() -> OrtDeviceProgram:
        graph = cuda_provider(queue.handle, captures=True)
        probe = cuda_provider(queue.handle, captures=False)
        return OrtDeviceProgram(plan, sigma, options.batch, queue, "cuda", graph, probe, threads=options.threads)

    return open_device(plan, noise, queue, load)


@final
class OrtDeviceProgram(DeviceProgram):
    """A graph in ONNX Runtime with every input and output in a device's memory: no copy, and no wait for the host."""

    def __init__(
        self,
        plan: Plan,
        sigma: float,
        batch: int,
        queue: DeviceQueue,
        device: Literal["cpu", "cuda"],
        provider: Provider,
        probe_provider: Provider | None,
        *,
        threads: int,
    ) -> None:
        """Load the graph on ``provider``, as ``open_session``.

        ``probe_provider`` runs the graph that gives logits too; None where such a graph would be another engine.
        """
        self._model, self._record, self._batch, self._threads = plan.read_graph(sigma), plan.record, batch, threads
        self._queue, self._device, self._probe_provider = queue, device, probe_provider
        self._inputs = tuple(queue.zeros((batch, *entry.shape), entry.dtype) for entry in plan.record.inputs)
        self._labels = queue.zeros((batch,), np.int32)
        self._options = ort.RunOptions()
        # What follows is enqueued on the same stream; the host waits where counts are read.
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        with queue.entered():
            self._session = open_session(self._model, provider, threads=threads, batch=batch)
            self._binding = bind(self._session, device, self._bound_inputs(), [_bound("label", self._labels)])
        self._probe: _Probe | None = None
        self._digest, self._build_seconds = sha256_hex(self._model), 0.0

    def ties_to(self, digest: str, build_seconds: float) -> None:
        """Take note of the file that the provider compiled: it is what runs, and not the graph."""
        self._digest, self._build_seconds = digest, build_seconds

    @property
    def inputs(self) -> Sequence[DeviceArray]:
        return self._inputs

    def labels(self) -> DeviceArray:
        self._run(self._session, self._binding)
        return self._labels

    @property
    def probe(self) -> Callable[[], DeviceArray] | None:
        name, provider = self._record.logits, self._probe_provider
        return None if name is None or provider is None else lambda: self._logits(name, provider)

    def _logits(self, name: str, provider: Provider) -> DeviceArray:
        if self._probe is None:
            self._probe = self._open_probe(name, provider)
        self._run(self._probe.session, self._probe.binding)
        return self._probe.logits

    def end_probe(self) -> None:
        self._probe = None

    @property
    def is_capturable(self) -> bool:
        return False  # ONNX Runtime captures for itself

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def executed_precision(self) -> str:
        return self._record.precision

    @property
    def versions(self) -> dict[str, str]:
        # Which kernels compute is chosen by libraries that are installed, and upgraded, apart from ONNX Runtime.
        return {"onnxruntime": ort.__version__} | loaded_versions()

    @property
    def nodes(self) -> dict[str, int]:
        return node_counts(self._session)

    @property
    def build_seconds(self) -> float:
        return self._build_seconds

    def close(self) -> None:
        with self._queue.entered():
            self.end_probe()
            del self._binding, self._session

    def _open_probe(self, name: str, provider: Provider) -> "_Probe":
        with self._queue.entered():
            model = with_output(self._model, name)
            session = open_session(model, provider, threads=self._threads, batch=self._batch)
            (described,) = (output for output in session.get_outputs() if output.name == name)
            if described.type not in _ELEMENTS or described.shape != [self._batch, self._record.classes]:
                raise InputError(
                    f"expected the plan's logits as floats [{self._batch}, {self._record.classes}], found "
                    f"{described.type} {described.shape}; export it again"
                )
            logits = self._queue.zeros((self._batch, self._record.classes), _ELEMENTS[described.type])
            outputs = [_bound("label", self._labels), _bound(name, logits)]
            binding = bind(session, self._device, self._bound_inputs(), outputs)
            return _Probe(session=session, binding=binding, logits=logits)

    def _bound_inputs(self) -> list[Bound]:
        entries: Sequence[GraphInput] = self._record.inputs
        return [_bound(entry.name, rows) for entry, rows in zip(entries, self._inputs, strict=True)]

    def _run(self, session: ort.InferenceSession, binding: ort.IOBinding) -> None:
        try:
            session.run_with_iobinding(binding, self._options)
        except Exception as error:  # the runtime's errors share no base class
            raise batch_failure("ONNX Runtime", error) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _Probe:
    """The same graph with its logits as one more output."""

    session: ort.InferenceSession
    binding: ort.IOBinding
    logits: DeviceArray


def _bound(name: str, array: DeviceArray) -> Bound:
    return Bound(name=name, dtype=array.dtype, shape=array.shape, address=array.address)
