"""TensorRT-RTX's runtime for machines without a GPU: the real library, but for what needs a device.

An engine runs here as the ONNX graph that it was built from, in ONNX Runtime, on the fake driver's memory and in the
order of its stream. Everything else, the enumerations and the builder too, is the real library's.
"""

import ctypes
import sys
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime as ort
import tensorrt_rtx_bindings as real

from purecert.engine.plans.plan import Plan
from support.fake_cuda.kernels import StreamKernels


class FakeLibrary:
    """What stands in for the module, and what was asked of it."""

    def __init__(self, plan: Plan, sigma: float, kernels: StreamKernels, batch: int) -> None:
        self.plan, self.kernels, self.batch = plan, kernels, batch
        self.onnx = plan.read_graph(sigma)
        self.deserialised: list[bytes] = []
        self.shapes = {entry.name: entry.shape for entry in plan.record.inputs}
        self.context_fails = ""  # what the library says of it
        self.is_capturable = True
        self.logger: Any = None
        self.answers_wrongly = False

    def install(self) -> None:
        """Put the stand-in where the library is looked for, in this process."""
        module = ModuleType("tensorrt_rtx_bindings")
        module.__dict__.update({name: getattr(real, name) for name in dir(real)})
        library = self

        class Runtime:
            def __init__(self, logger: Any) -> None:
                assert isinstance(logger, real.ILogger)
                library.logger = logger

            def deserialize_cuda_engine(self, content: bytes) -> "_Engine":
                library.deserialised.append(content)
                return _Engine(library)

        module.Runtime = Runtime  # type: ignore[attr-defined]
        sys.modules["tensorrt_rtx_bindings"] = module


class _Engine:
    """An engine of one static profile."""

    def __init__(self, library: FakeLibrary) -> None:
        self._library, self._names = library, [*library.shapes, "label"]
        self.num_io_tensors = len(self._names)

    def get_tensor_name(self, number: int) -> str:
        return self._names[number]

    def get_tensor_mode(self, name: str) -> Any:
        return real.TensorIOMode.OUTPUT if name == "label" else real.TensorIOMode.INPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return real.DataType.INT32 if name == "label" else real.DataType.HALF

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, *self._library.shapes.get(name, ()))

    def create_runtime_config(self) -> "_RuntimeConfig":
        return _RuntimeConfig()

    def create_execution_context(self, config: "_RuntimeConfig") -> "_Context | None":
        strategies = real.DynamicShapesKernelSpecializationStrategy, real.CudaGraphStrategy
        assert config.dynamic_shapes_kernel_specialization_strategy == strategies[0].EAGER
        assert config.cuda_graph_strategy == strategies[1].DISABLED
        if self._library.context_fails:
            self._library.logger.log(real.ILogger.Severity.ERROR, self._library.context_fails)
            return None
        return _Context(self._library)


class _RuntimeConfig:
    """How a context runs; the real one belongs to a real engine."""

    dynamic_shapes_kernel_specialization_strategy: Any = None
    cuda_graph_strategy: Any = None


class _Context:
    """An execution context: shapes and addresses, then work on a stream."""

    def __init__(self, library: FakeLibrary) -> None:
        self._library, self._addresses = library, dict[str, int]()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(library.onnx, options, providers=["CPUExecutionProvider"])

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        return shape == (self._library.batch, *self._library.shapes[name])

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return address != 0

    def execute_async_v3(self, stream: int) -> bool:
        assert stream != 0  # the default stream would wait for every other one
        assert self._addresses.keys() == {*self._library.shapes, "label"}
        self._library.kernels.launch(stream, self._run)
        return True

    def is_stream_capturable(self, stream: int) -> bool:
        assert stream != 0
        return self._library.is_capturable

    def _run(self) -> None:
        binding, batch = self._session.io_binding(), self._library.batch
        for name, shape in self._library.shapes.items():
            binding.bind_input(name, "cpu", 0, np.float16, (batch, *shape), self._addresses[name])
        binding.bind_output("label", "cpu", 0, np.int32, (batch,), self._addresses["label"])
        self._session.run_with_iobinding(binding)
        if self._library.answers_wrongly:
            labels = (ctypes.c_int32 * batch).from_address(self._addresses["label"])
            labels[:] = [(label + 1) % self._library.plan.record.classes for label in labels]
