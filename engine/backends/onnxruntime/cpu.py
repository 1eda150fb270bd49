"""ONNX Runtime on the CPU, bound to buffers that the noise kernel writes in place."""

from collections.abc import Sequence
from functools import cached_property
from typing import final

import numpy as np
import onnxruntime as ort
from jaxtyping import Float, Int32
from numpy.typing import NDArray

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.failures import batch_failure
from purecert.engine.backends.graph import HostGraph, Opened, checked_logits, input_buffers
from purecert.engine.backends.host import open_on_host
from purecert.engine.backends.lower_precision import require_instructions
from purecert.engine.backends.onnxruntime.session import CPU, Bound, Provider, bind, node_counts, open_session
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.plan import Plan, Precision
from purecert.engine.plans.protocol_buffers import with_output

_PROVIDER = Provider(name=CPU)


def open_onnxruntime(plan: Plan, sigma: float, noise: Sequence[InputNoise], options: BackendOptions) -> Opened:
    """Return the plan's ONNX graph of ``sigma`` on the host's processors; raises as ``OrtGraph``."""
    return open_on_host(plan, noise, OrtGraph(plan, sigma, options.batch, options.threads))


@final
class OrtGraph(HostGraph):
    """The plan's ONNX graph of one sigma in ONNX Runtime.

    Nothing is copied on the way in or out: inputs and labels are bound to the arrays that noise is written to and
    labels are read from.
    """

    def __init__(self, plan: Plan, sigma: float, batch: int, threads: int) -> None:
        """Open the graph.

        Raises:
            InputError: The plan holds no such graph, or not the bytes that it names.
            BackendError: ONNX Runtime cannot load the graph, or the graph's inputs are not the plan's.
        """
        self._model, self._record, self._threads = plan.read_graph(sigma), plan.record, threads
        require_instructions(self.executed_precision)
        self._inputs = input_buffers(plan.record.inputs, batch)
        self._labels = np.zeros(batch, np.int32)
        self._session = open_session(self._model, _PROVIDER, threads=threads, batch=batch)
        names = [graph_input.name for graph_input in plan.record.inputs]
        bound = [_bound(name, array) for name, array in zip(names, self._inputs, strict=True)]
        self._binding = bind(self._session, "cpu", bound, [_bound("label", self._labels)])

    @property
    def inputs(self) -> Sequence[NDArray[np.generic]]:
        return self._inputs

    def labels(self) -> Int32[np.ndarray, " batch"]:
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # the runtime's errors share no base class
            raise batch_failure("ONNX Runtime", error) from error
        return self._labels

    def logits(self) -> Float[np.ndarray, "batch classes"] | None:
        if self._record.logits is None:
            return None
        names = [graph_input.name for graph_input in self._record.inputs]
        try:
            (logits,) = self._probe.run([self._record.logits], dict(zip(names, self._inputs, strict=True)))
        except Exception as error:  # the runtime's errors share no base class
            raise batch_failure("ONNX Runtime", error) from error
        return checked_logits(np.asarray(logits))

    @property
    def digest(self) -> str:
        return sha256_hex(self._model)

    @property
    def executed_precision(self) -> Precision:
        # ONNX Runtime's CPU provider has no half arithmetic: it runs FP16 nodes in FP32.
        return "int8" if self._record.precision == "int8" else "fp32"

    @property
    def versions(self) -> dict[str, str]:
        return {"onnxruntime": ort.__version__}

    def close(self) -> None:
        self.__dict__.pop("_probe", None)
        del self._binding, self._session

    @property
    def nodes(self) -> dict[str, int]:
        return node_counts(self._session)

    @cached_property
    def _probe(self) -> ort.InferenceSession:
        model = with_output(self._model, str(self._record.logits))
        return open_session(model, _PROVIDER, threads=self._threads, batch=len(self._labels))


def _bound(name: str, array: NDArray[np.generic]) -> Bound:
    return Bound(name=name, dtype=array.dtype, shape=array.shape, address=array.ctypes.data)
