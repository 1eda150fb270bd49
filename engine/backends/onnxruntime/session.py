"""A session of ONNX Runtime on one execution provider, with nothing left to another."""

import io
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime as ort

from purecert.engine.backends.failures import device_failure, is_out_of_memory
from purecert.engine.errors import BackendError
from purecert.engine.plans.plan import BATCH_DIMENSION

CPU = "CPUExecutionProvider"

_ERRORS_ONLY = 3  # the runtime's log severity
# Weights outside the graph's own file would come from the working directory and escape the plan's digests, so they
# are looked for where nothing can be.
_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"
_NO_FOLDER = "/dev/null/none"
_RECORD_PROVIDERS = "session.record_ep_graph_assignment_info"
_NO_CPU = "session.disable_cpu_ep_fallback"


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """An execution provider and its options."""

    name: str
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """Memory that an input or output of a graph lies in."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    address: int


def open_session(model: bytes, provider: Provider, *, threads: int, batch: int) -> ort.InferenceSession:
    """Return a session of ``model`` whose every node runs on ``provider``, at a fixed ``batch``.

    Raises:
        BackendError: ONNX Runtime cannot load the graph, or leaves a node to another provider.
    """
    _check_built(provider)
    options, said = _session_options(threads, batch), ""
    if provider.name != CPU:
        options.add_session_config_entry(_NO_CPU, "1")
        said = _load_cuda_libraries()
    try:
        # Without enable_fallback=0 a provider that fails is replaced by the processor.
        session = ort.InferenceSession(model, options, providers=[(provider.name, provider.options)], enable_fallback=0)
    except Exception as error:  # the runtime's errors share no base class
        if is_out_of_memory(error):
            raise device_failure(f"ONNX Runtime on {provider.name}", error) from error
        why = " ".join(f"{error}{said}".split())
        raise BackendError(
            f"ONNX Runtime {ort.__version__} cannot load the graph for {provider.name}: {why}; see engine-doctor"
        ) from error
    nodes = node_counts(session)
    if list(nodes) != [provider.name]:
        raise BackendError(f"expected every node on {provider.name}, ONNX Runtime runs {nodes}; see engine-doctor")
    return session


def node_counts(session: ort.InferenceSession) -> dict[str, int]:
    """Return how many nodes of the optimised graph each provider runs.

    Raises:
        BackendError: This version of ONNX Runtime does not tell.
    """
    if not hasattr(session, "get_provider_graph_assignment_info"):
        raise BackendError(
            f"expected an ONNX Runtime that says where every node runs, found {ort.__version__}; upgrade it"
        )
    counts: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] += len(part.get_nodes())
    return dict(sorted(counts.items()))


def bind(
    session: ort.InferenceSession, device: str, inputs: Sequence[Bound], outputs: Sequence[Bound]
) -> ort.IOBinding:
    """Return a binding of a graph's inputs and outputs to memory of ``device`` (``"cpu"`` or ``"cuda"``).

    Raises:
        BackendError: The graph has other inputs or outputs.
    """
    binding = session.io_binding()
    try:
        for one in inputs:
            binding.bind_input(one.name, device, 0, one.dtype.type, one.shape, one.address)
        for one in outputs:
            binding.bind_output(one.name, device, 0, one.dtype.type, one.shape, one.address)
    except Exception as error:  # the runtime's errors share no base class
        raise BackendError(f"the graph's inputs and outputs are not the plan's: {error}; export it again") from error
    return binding


def _session_options(threads: int, batch: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry(_EXTERNAL_FOLDER, _NO_FOLDER)
    options.add_session_config_entry(_RECORD_PROVIDERS, "1")
    # With the batch known, the arithmetic of shapes is done now; it would be the processor's, and break a CUDA graph.
    options.add_free_dimension_override_by_name(BATCH_DIMENSION, batch)
    return options


def _load_cuda_libraries() -> str:
    """Load CUDA's libraries from where pip installs them, which no loader finds by itself; return what is missing."""
    with redirect_stdout(io.StringIO()) as said:
        ort.preload_dlls()
    lines = [line for line in said.getvalue().splitlines() if line.startswith("Failed")]
    return "".join(f" ({line})" for line in lines)


def _check_built(provider: Provider) -> None:
    built = ort.get_available_providers()
    if provider.name not in built:
        raise BackendError(
            f"expected an ONNX Runtime with {provider.name}, found {ort.__version__} with {', '.join(built)}; "
            "run: pip uninstall onnxruntime && pip install onnxruntime-gpu"
        )
