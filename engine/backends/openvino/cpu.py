"""OpenVINO on the CPU, bound to buffers that the noise kernel writes in place."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, final

import numpy as np
import openvino as ov
from jaxtyping import Float, Int32
from numpy.typing import NDArray

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.failures import batch_failure
from purecert.engine.backends.graph import HostGraph, Opened, input_buffers
from purecert.engine.backends.host import open_on_host
from purecert.engine.errors import BackendError, InputError, one_line
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.plan import Plan
from purecert.engine.plans.protocol_buffers import with_output

_LABEL = "label"
_DEVICE = "CPU"
# Nothing is left to the runtime's choice that changes an answer. By default it computes in bf16 where the processor
# can, and quantises activations by scales that it finds in each batch, which would tie rows to each other.
_SETTINGS = {
    "INFERENCE_PRECISION_HINT": "f32",
    "EXECUTION_MODE_HINT": "ACCURACY",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": "1",
    "ENABLE_CPU_PINNING": "NO",  # two processes would take the same core
}


def open_openvino(plan: Plan, sigma: float, noise: Sequence[InputNoise], options: BackendOptions) -> Opened:
    """Return the plan's ONNX graph of ``sigma`` in OpenVINO; raises as ``OpenVinoGraph``."""
    return open_on_host(plan, noise, OpenVinoGraph(plan, sigma, options.batch, options.threads))


@final
class OpenVinoGraph(HostGraph):
    """The plan's ONNX graph of one sigma in OpenVINO.

    Nothing is copied on the way in or out: inputs and labels are tensors over the arrays that noise is written to and
    labels are read from.
    """

    def __init__(self, plan: Plan, sigma: float, batch: int, threads: int) -> None:
        """Open the graph.

        Raises:
            InputError: The plan holds no such graph, or not the bytes that it names.
            BackendError: OpenVINO cannot load the graph, or would compute in another precision than FP32.
        """
        self._model, self._record, self._threads = plan.read_graph(sigma), plan.record, threads
        self._inputs = input_buffers(plan.record.inputs, batch)
        self._labels = np.zeros(batch, np.int32)
        self._request = self._opened(self._model, _LABEL)
        self._request.set_tensor(_LABEL, ov.Tensor(self._labels, shared_memory=True))

    def _opened(self, model: bytes, output: str) -> Any:
        """Return a request for ``output`` of ``model``, whose inputs are this graph's buffers."""
        shapes = {entry.name: list(array.shape) for entry, array in zip(self._record.inputs, self._inputs, strict=True)}
        try:
            core = ov.Core()
            graph = core.read_model(model)
            graph.reshape(shapes)
            compiled = core.compile_model(graph, _DEVICE, _SETTINGS | {"INFERENCE_NUM_THREADS": str(self._threads)})
            precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
            request = compiled.create_infer_request()
            for name, array in zip(shapes, self._inputs, strict=True):
                request.set_tensor(name, ov.Tensor(array, shared_memory=True))
            request.get_tensor(output)
        except Exception as error:  # the runtime's errors share no base class
            raise BackendError(f"OpenVINO {ov.__version__} cannot load the graph: {one_line(error)}") from error
        if precision != "f32":
            raise BackendError(f"expected OpenVINO to compute in f32, as it was told, found {precision}")
        return request

    @property
    def inputs(self) -> Sequence[NDArray[np.generic]]:
        return self._inputs

    def labels(self) -> Int32[np.ndarray, " batch"]:
        _infer(self._request)
        return self._labels

    def logits(self) -> Float[np.ndarray, "batch classes"] | None:
        if self._record.logits is None:
            return None
        _infer(self._probe)
        logits = np.array(self._probe.get_tensor(self._record.logits).data)
        if logits.ndim != 2 or not np.issubdtype(logits.dtype, np.floating):
            found = f"{logits.dtype} {list(logits.shape)}"
            raise InputError(f"expected the plan's logits as floats [batch, classes], found {found}; export it again")
        return logits

    @property
    def digest(self) -> str:
        return sha256_hex(self._model)

    @property
    def executed_precision(self) -> str:
        return "fp32"  # of plans in half too: their tensors are converted

    @property
    def versions(self) -> dict[str, str]:
        return {"openvino": ov.__version__}

    def close(self) -> None:
        self.__dict__.pop("_probe", None)
        del self._request

    @cached_property
    def _probe(self) -> Any:
        logits = str(self._record.logits)
        return self._opened(with_output(self._model, logits), logits)


def _infer(request: Any) -> None:
    try:
        request.infer()
    except Exception as error:  # the runtime's errors share no base class
        raise batch_failure("OpenVINO", error) from error
