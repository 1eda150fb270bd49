"""The table of backends: a row says what a backend needs installed and which function opens it.

A new backend is a folder with its opener, and a row here. The doctor examines it under the same name.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.graph import Opened
from purecert.engine.errors import InputError
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.plan import Plan, Precision

Opener = Callable[[Plan, float, Sequence[InputNoise], BackendOptions], Opened]
"""Loads the plan's graph of one sigma, whose inputs take that noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendKind:
    """One row of the table."""

    extra: str  # of purecert, which installs what the backend needs
    opener: Callable[[], Opener]  # imports the runtime, so it is called for the chosen backend only
    precisions: tuple[Precision, ...] = ("fp32", "fp16")  # of the plans that it runs


def _onnxruntime() -> Opener:
    from purecert.engine.backends.onnxruntime.cpu import open_onnxruntime

    return open_onnxruntime


def _openvino() -> Opener:
    from purecert.engine.backends.openvino.cpu import open_openvino

    return open_openvino


def _torch() -> Opener:
    from purecert.engine.backends.torch.eager import open_torch

    return open_torch


def _torch_device() -> Opener:
    from purecert.engine.backends.torch.compile import open_torch_device

    return open_torch_device


def _tensorrt() -> Opener:
    from purecert.engine.backends.tensorrt.program import open_tensorrt

    return open_tensorrt


def _onnxruntime_cuda() -> Opener:
    from purecert.engine.backends.onnxruntime.gpu import open_onnxruntime_cuda

    return open_onnxruntime_cuda


def _onnxruntime_tensorrt() -> Opener:
    from purecert.engine.backends.onnxruntime.tensorrt import open_onnxruntime_tensorrt

    return open_onnxruntime_tensorrt


_OF_PYTORCH: tuple[Precision, ...] = ("fp32", "fp16", "bf16")
_ALL: tuple[Precision, ...] = (*_OF_PYTORCH, "int8")

BACKENDS: dict[str, BackendKind] = {
    "onnxruntime": BackendKind(extra="cpu", opener=_onnxruntime, precisions=_ALL),
    "openvino": BackendKind(extra="openvino", opener=_openvino, precisions=_ALL),
    "torch": BackendKind(extra="export", opener=_torch, precisions=_OF_PYTORCH),
    "torch-compiled": BackendKind(extra="export", opener=_torch_device, precisions=_OF_PYTORCH),
    "torch-cuda": BackendKind(extra="export", opener=_torch_device, precisions=_OF_PYTORCH),
    "tensorrt": BackendKind(extra="tensorrt", opener=_tensorrt),
    "tensorrt-rtx": BackendKind(extra="tensorrt-rtx", opener=_tensorrt),
    "onnxruntime-cuda": BackendKind(extra="gpu-ort", opener=_onnxruntime_cuda),
    "onnxruntime-tensorrt": BackendKind(extra="gpu-ort-tensorrt", opener=_onnxruntime_tensorrt),
}


def backend_kind(name: str) -> BackendKind:
    """Return the row of the backend ``name``.

    Raises:
        InputError: There is no such backend.
    """
    if name not in BACKENDS:
        raise InputError(f"expected a backend out of {', '.join(BACKENDS)}, got {name!r}")
    return BACKENDS[name]
