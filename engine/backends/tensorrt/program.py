"""A TensorRT or TensorRT-RTX engine on a pycuda stream, without PyTorch."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, final

import numpy as np

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.device.array import DeviceArray, RawArray
from purecert.engine.backends.device.opening import open_device
from purecert.engine.backends.device.program import DeviceProgram
from purecert.engine.backends.device.pycuda_queue import PycudaQueue
from purecert.engine.backends.graph import Opened
from purecert.engine.backends.tensorrt.cache import EngineFile, open_engine
from purecert.engine.backends.tensorrt.library import LibraryName, failure, library_version, listen, load_library
from purecert.engine.backends.tensorrt.target import Target
from purecert.engine.errors import BackendError
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.plan import GraphInput, Plan, PlanRecord

_LABEL = "label"


def open_tensorrt(plan: Plan, sigma: float, noise: Sequence[InputNoise], options: BackendOptions) -> Opened:
    """Return the plan's engine of ``sigma`` for this GPU, built now unless this machine has done it before.

    The backend's name is the library's: tensorrt or tensorrt-rtx.

    Raises:
        InputError: The engine in the plan's cache is not this machine's.
        BackendError: There is no such library or GPU, or the engine cannot be built or run.
        CheckError: The engine computes in another precision than the plan says.
        OutOfMemoryError: Building or the batch takes more memory than there is.
    """
    name: LibraryName = "tensorrt-rtx" if options.name == "tensorrt-rtx" else "tensorrt"
    library = load_library(name)
    queue = PycudaQueue()
    target = Target(gpu=queue.name, capability=queue.capability)

    def load() -> TensorrtProgram:
        engine = open_engine(plan, sigma, options.batch, name, target, None, trust=options.trust)
        return TensorrtProgram(library, name, engine, plan.record, options.batch, queue)

    return open_device(plan, noise, queue, load)


@final
class TensorrtProgram(DeviceProgram):
    """An engine with one execution context, whose inputs and labels lie in memory of the queue's."""

    def __init__(
        self,
        library: ModuleType,
        library_name: LibraryName,
        engine: EngineFile,
        record: PlanRecord,
        batch: int,
        queue: PycudaQueue,
    ) -> None:
        """Deserialise ``engine``, which runs code from it: its bytes were checked when they were read.

        Raises:
            BackendError: The library refuses it, or its inputs and outputs are not the plan's.
        """
        self._library, self._name, self._file, self._queue = library, library_name, engine, queue
        self._precision = record.precision
        self._logger, self._heard = listen(library)
        with queue.entered():
            self._runtime = library.Runtime(self._logger)
            self._engine = self._loaded("engine", self._runtime.deserialize_cuda_engine(engine.content))
            _check_tensors(library, self._engine, record, batch)
            self._context = self._loaded("execution context", _new_context(library, library_name, self._engine))
            self._inputs = tuple(self._bind_input(entry, batch) for entry in record.inputs)
            self._labels = queue.zeros((batch,), np.int32)
            self._bind(_LABEL, self._labels)
            self._is_capturable = self._can_be_captured()

    @property
    def inputs(self) -> Sequence[DeviceArray]:
        return self._inputs

    def labels(self) -> RawArray:
        if not self._context.execute_async_v3(self._queue.handle):
            raise failure(self._heard, f"{self._name} failed to enqueue a batch")
        return self._labels

    @property
    def probe(self) -> None:
        return None  # only labels leave the engine

    @property
    def is_capturable(self) -> bool:
        return self._is_capturable

    @property
    def digest(self) -> str:
        return self._file.digest

    @property
    def executed_precision(self) -> str:
        return self._precision  # strongly typed, and the built engine's layers were checked

    @property
    def versions(self) -> dict[str, str]:
        return {self._name: library_version(self._library)}

    @property
    def build_seconds(self) -> float:
        return self._file.build_seconds

    def close(self) -> None:
        with self._queue.entered():
            del self._context, self._engine, self._runtime

    def _can_be_captured(self) -> bool:
        """Ask the library after a first batch, where it can say.

        TensorRT cannot; nothing in our engines waits for the host: one profile, one shape, no streaming of weights.
        """
        if not hasattr(self._context, "is_stream_capturable"):
            return True
        self.labels()
        self._queue.mark()()
        return bool(self._context.is_stream_capturable(self._queue.handle))

    def _loaded(self, what: str, loaded: Any) -> Any:
        """Return ``loaded``, which the library leaves out where it failed."""
        if loaded is None:
            raise failure(self._heard, f"{self._name} made no {what}")
        return loaded

    def _bind_input(self, entry: GraphInput, batch: int) -> RawArray:
        rows = self._queue.zeros((batch, *entry.shape), entry.dtype)
        if not self._context.set_input_shape(entry.name, rows.shape):
            raise BackendError(f"{self._name} does not take {entry.name} of shape {rows.shape}: {self._heard.why()}")
        self._bind(entry.name, rows)
        return rows

    def _bind(self, name: str, array: RawArray) -> None:
        if not self._context.set_tensor_address(name, array.address):
            raise BackendError(f"{self._name} does not take an address for {name}: {self._heard.why()}")


def _new_context(library: ModuleType, library_name: LibraryName, engine: Any) -> Any:
    """Return an execution context that runs the same kernels from its first batch on; None where there is none.

    TensorRT-RTX compiles kernels where the engine runs. It must be done with that before the rows are checked, and
    leave CUDA graphs to us.
    """
    if library_name == "tensorrt":
        return engine.create_execution_context()
    config = engine.create_runtime_config()
    config.dynamic_shapes_kernel_specialization_strategy = library.DynamicShapesKernelSpecializationStrategy.EAGER
    config.cuda_graph_strategy = library.CudaGraphStrategy.DISABLED
    return engine.create_execution_context(config)


def _check_tensors(library: ModuleType, engine: Any, record: PlanRecord, batch: int) -> None:
    """Refuse an engine whose inputs and outputs are not the plan's: it would read or write beyond our memory."""
    expected = {entry.name: ("INPUT", np.dtype(entry.dtype).name, (batch, *entry.shape)) for entry in record.inputs} | {
        _LABEL: ("OUTPUT", "int32", (batch,))
    }
    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    found = {
        name: (
            engine.get_tensor_mode(name).name,
            np.dtype(library.nptype(engine.get_tensor_dtype(name))).name,
            tuple(batch if size == -1 else size for size in engine.get_tensor_shape(name)),
        )
        for name in names
    }
    if found != expected:
        raise BackendError(f"expected an engine with {expected}, found {found}; delete it and run again")
