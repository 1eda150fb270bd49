"""OpenVINO on the CPU, bound to buffers that the noise kernel writes in place."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int32
from numpy.typing import NDArray

import purecert
from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.failures import batch_failure
from purecert.engine.backends.graph import HostGraph, Opened, checked_logits, input_buffers
from purecert.engine.backends.host import open_on_host
from purecert.engine.backends.lower_precision import require_instructions
from purecert.engine.backends.openvino.not_a_number import keep_nan
from purecert.engine.backends.openvino.poison_check import KeptNan, check_nan_is_kept, masks_rows
from purecert.engine.backends.openvino.runtime import ov
from purecert.engine.errors import BackendError, one_line
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.hardware import cpu_flags, describe_cpu
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.compiled_files import compiled_file
from purecert.engine.plans.graph_check import is_finite_inside
from purecert.engine.plans.kept_findings import read_finding, write_finding
from purecert.engine.plans.plan import Plan, ends_of
from purecert.engine.plans.protocol_buffers import with_output

_LABEL, _DEVICE = "label", "CPU"
_INVALID = -1  # the label of a row with a logit that is not finite
_SCHEMA = "purecert.kept-nan/1"
# Nothing is left to the runtime's choice that changes an answer. By default it computes in bf16 where the processor
# can, and quantises activations by scales that it finds in each batch, which would tie rows to each other.
_SETTINGS = {
    "EXECUTION_MODE_HINT": "ACCURACY",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": "1",
    "ENABLE_CPU_PINNING": "NO",  # two processes would take the same core
}
# Of a plan -> what its layers are multiplied in. Half is converted to FP32: no processor is quicker in it here.
_PRECISIONS = {"fp32": "f32", "fp16": "f32", "bf16": "bf16", "int8": "f32"}


def open_openvino(plan: Plan, sigma: float, noise: Sequence[InputNoise], options: BackendOptions) -> Opened:
    """Return the plan's ONNX graph of ``sigma`` in OpenVINO, after this machine has seen that it keeps NaN.

    Raises:
        InputError: As ``OpenVinoGraph``.
        BackendError: As ``OpenVinoGraph``, or a row that is no number would get a vote.
    """
    graph = OpenVinoGraph(plan, sigma, options.batch, options.threads)
    if graph.is_finite_inside:
        return open_on_host(plan, noise, graph)
    path, origin = compiled_file(plan, sigma, "nan", ".json", _SCHEMA, graph.described())
    if options.repeat_check or read_finding(KeptNan, path, origin, "the check for NaN is run again") is None:
        write_finding(graph.check_nan(), path, origin, "what the check for NaN found")
    return open_on_host(plan, noise, graph)


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
            BackendError: OpenVINO cannot load the graph, or would compute in another precision than the plan's, or is
                not known to keep NaN in it.
        """
        self._model, self._record, self._threads = plan.read_graph(sigma), plan.record, threads
        require_instructions(plan.record.precision)
        self._precision = _PRECISIONS[plan.record.precision]
        self._inputs = input_buffers(plan.record.inputs, batch)
        # Quantising gives a number for NaN, so such a graph is taken only where it cannot overflow.
        self.is_finite_inside = plan.record.precision == "int8" and is_finite_inside(self._model, ends_of(plan.record))
        self._labels = np.zeros(batch, np.int32)
        self._request = self._opened(self._read(self._model), _LABEL)
        self._request.set_tensor(_LABEL, ov.Tensor(self._labels, shared_memory=True))

    def described(self) -> Mapping[str, object]:
        """Return what decides which kernels run, beside the graph."""
        return {
            "settings": self._settings(),
            "batch": len(self._labels),
            "hardware": [describe_cpu(), *sorted(cpu_flags())],
            "versions": self.versions | {"purecert": purecert.__version__},  # which writes the operators otherwise
            "logits": self._record.logits,
        }

    def check_nan(self) -> KeptNan:
        """Return what the check for NaN found; raises BackendError as ``check_nan_is_kept``."""
        logits = self._record.logits
        label_graph = self._read(self._model)
        if logits is None:
            return check_nan_is_kept(label_graph, self._without_vote)
        as_written = ov.Core().read_model(self._model)  # without the forms that keep NaN, which ask for it too
        found = check_nan_is_kept(self._read(with_output(self._model, logits)), self._without_numbers)
        if masks_rows(as_written):
            # What lies between logits and label is the same for every layer, so one is enough.
            check_nan_is_kept(label_graph, self._without_vote, last_alone=True)
        return found

    def _without_vote(self, graph: ov.Model) -> NDArray[np.bool_]:
        request = self._opened(graph, _LABEL)
        _infer(request)
        return np.asarray(request.get_tensor(_LABEL).data == _INVALID)

    def _without_numbers(self, graph: ov.Model) -> NDArray[np.bool_]:
        logits = str(self._record.logits)
        request = self._opened(graph, logits)
        _infer(request)
        return np.asarray(~np.isfinite(request.get_tensor(logits).data).all(axis=1))

    def _settings(self) -> dict[str, str]:
        return _SETTINGS | {
            "INFERENCE_PRECISION_HINT": self._precision,
            "INFERENCE_NUM_THREADS": str(self._threads),
        }

    def _read(self, model: bytes) -> ov.Model:
        """Return ``model`` at this graph's batch, with NaN kept."""
        shapes = {entry.name: list(array.shape) for entry, array in zip(self._record.inputs, self._inputs, strict=True)}
        try:
            graph = ov.Core().read_model(model)
            graph.reshape(shapes)
            if not self.is_finite_inside:
                keep_nan(graph)
        except BackendError:
            raise
        except Exception as error:  # the runtime's errors share no base class
            raise _unusable(error) from error
        return graph

    def _opened(self, graph: ov.Model, output: str) -> Any:
        """Return a request for ``output`` of ``graph``, whose inputs are this graph's buffers."""
        try:
            compiled = ov.Core().compile_model(graph, _DEVICE, self._settings())
            precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
            request = compiled.create_infer_request()
            for entry, array in zip(self._record.inputs, self._inputs, strict=True):
                request.set_tensor(entry.name, ov.Tensor(array, shared_memory=True))
            request.get_tensor(output)
        except Exception as error:  # the runtime's errors share no base class
            raise _unusable(error) from error
        if precision != self._precision:
            raise BackendError(f"expected OpenVINO to compute in {self._precision}, as it was told, found {precision}")
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
        return checked_logits(np.array(self._probe.get_tensor(self._record.logits).data))

    @property
    def digest(self) -> str:
        return sha256_hex(self._model)

    @property
    def executed_precision(self) -> str:
        if self._record.precision == "int8":
            return "int8"
        return "bf16" if self._precision == "bf16" else "fp32"

    @property
    def versions(self) -> dict[str, str]:
        return {"openvino": ov.__version__}

    def close(self) -> None:
        self.__dict__.pop("_probe", None)
        del self._request

    @cached_property
    def _probe(self) -> Any:
        logits = str(self._record.logits)
        return self._opened(self._read(with_output(self._model, logits)), logits)


def _unusable(error: Exception) -> BackendError:
    return BackendError(f"OpenVINO {ov.__version__} cannot load the graph: {one_line(error)}")


def _infer(request: Any) -> None:
    try:
        request.infer()
    except Exception as error:  # the runtime's errors share no base class
        raise batch_failure("OpenVINO", error) from error
