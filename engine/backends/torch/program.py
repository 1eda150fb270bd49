"""A program of PyTorch's on a device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from purecert.engine.backends.device.array import DeviceArray
from purecert.engine.backends.device.program import DeviceProgram
from purecert.engine.backends.torch.array import TorchArray
from purecert.engine.errors import BackendError


@dataclass(frozen=True, kw_only=True, slots=True)
class CompiledProgram:
    """A program of fixed batch on a device, with its inputs at fixed addresses."""

    inputs: tuple[Tensor, ...]  # [batch, ...] each, in the plan's order
    call: Callable[..., Any]
    digest: str  # SHA-256 of the file that runs
    build_seconds: float

    def run(self) -> tuple[Tensor, Tensor]:
        """Enqueue the program on its inputs; return labels [batch] and logits [batch, classes]."""
        with torch.inference_mode():
            label, logits = self.call(*self.inputs)
        return label, logits


@final
class TorchProgram(DeviceProgram):
    """A compiled program as the device loop runs it."""

    def __init__(self, compiled: CompiledProgram, precision: str) -> None:
        self._compiled, self._precision = compiled, precision
        self._inputs = tuple(TorchArray(rows) for rows in compiled.inputs)

    @property
    def inputs(self) -> Sequence[DeviceArray]:
        return self._inputs

    def labels(self) -> TorchArray:
        label = self._compiled.run()[0]
        if not label.is_contiguous():
            raise BackendError(f"expected contiguous labels, got strides {label.stride()}; export again")
        return TorchArray(label)

    @property
    def probe(self) -> Callable[[], TorchArray]:
        return lambda: TorchArray(self._compiled.run()[1].contiguous())

    @property
    def is_capturable(self) -> bool:
        return True

    @property
    def digest(self) -> str:
        return self._compiled.digest

    @property
    def executed_precision(self) -> str:
        return self._precision

    @property
    def versions(self) -> dict[str, str]:
        return {}  # PyTorch's are the queue's

    @property
    def build_seconds(self) -> float:
        return self._compiled.build_seconds

    def close(self) -> None:
        del self._compiled, self._inputs
