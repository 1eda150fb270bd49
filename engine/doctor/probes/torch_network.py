"""The doctor's network in PyTorch: operator by operator, and inside the loop that compiled programs run in."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from purecert.engine.backends.base import BackendInfo, BackendOptions
from purecert.engine.backends.device.opening import open_device
from purecert.engine.backends.graph import HostGraph, Opened, input_buffers
from purecert.engine.backends.host import HostBackend
from purecert.engine.backends.opening import checked_backend
from purecert.engine.backends.torch.program import CompiledProgram, TorchProgram
from purecert.engine.backends.torch.queue import CudaQueue, HostQueue, TorchQueue
from purecert.engine.doctor.probes import small_plan
from purecert.engine.doctor.probes.small_network import BIAS_64THS, CONVOLUTION
from purecert.engine.doctor.probes.votes import counted
from purecert.engine.errors import UnusableError
from purecert.engine.hardware import describe_cpu
from purecert.engine.noise.inputs import InputNoise, noise_of_inputs
from purecert.engine.plans.plan import Plan

_REINSTALL = "reinstall PyTorch: pip install --force-reinstall torch"


@final
class SmallNetwork(torch.nn.Module):
    """From noisy rows [batch, 2, 4, 4] in FP16 to labels [batch] and logits [batch, 3]."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        for name, value in (("convolution", CONVOLUTION), ("bias", BIAS_64THS / 64)):
            self.register_buffer(name, torch.from_numpy(value.astype(np.float16)).to(device))

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        convolution, bias = self.get_buffer("convolution"), self.get_buffer("bias")
        logits = torch.nn.functional.conv2d(rows, convolution, padding=1).relu().mean((2, 3)) + bias
        return logits.argmax(1).to(torch.int32), logits


@final
class _OperatorByOperator(HostGraph):
    """The network as the backend torch runs a plan's program."""

    def __init__(self) -> None:
        self._rows = input_buffers([small_plan.PIXELS], small_plan.BATCH)
        self._tensor, self._network = torch.from_numpy(self._rows[0]), SmallNetwork(torch.device("cpu"))

    @property
    def inputs(self) -> Sequence[NDArray[np.generic]]:
        return self._rows

    def labels(self) -> NDArray[np.int32]:
        return np.asarray(self._network(self._tensor)[0].numpy())

    def logits(self) -> NDArray[np.float16]:
        return np.asarray(self._network(self._tensor)[1].numpy())

    @property
    def digest(self) -> str:
        return ""

    @property
    def executed_precision(self) -> str:
        return "fp16"

    @property
    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}

    def close(self) -> None:
        pass


def run_eager(folder: Path) -> str:
    """Run a batch operator by operator on the host; return what computed it.

    Raises:
        UnusableError: It counts other votes than there are.
        PurecertError: It cannot be opened or run.
    """
    plan, graph = small_plan.write_small_plan(folder / "plan"), _OperatorByOperator()

    def backend(info: BackendInfo) -> HostBackend:
        return HostBackend(graph, _noise(plan), info, plan.record.classes, len(small_plan.IMAGES))

    return _counted(Opened(graph=graph, hardware=describe_cpu(), backend=backend), plan, "torch")


def run_loop(backend: str, folder: Path) -> str:
    """Run a batch through the loop of torch-compiled or torch-cuda, uncompiled; as ``run_eager``.

    Raises:
        UnusableError: PyTorch lacks the loader of compiled programs, or it counts other votes than there are.
    """
    if not hasattr(torch._C, "_aoti"):
        raise UnusableError(f"PyTorch {torch.__version__} has no loader of compiled programs", _REINSTALL)
    queue: TorchQueue = CudaQueue() if backend == "torch-cuda" else HostQueue(1)
    plan = small_plan.write_small_plan(folder / "plan")
    shape = (small_plan.BATCH, *small_plan.PIXELS.shape)
    network, rows = SmallNetwork(queue.device), torch.zeros(shape, dtype=torch.float16, device=queue.device)

    def load() -> TorchProgram:
        program = CompiledProgram(inputs=(rows,), call=network, digest="", build_seconds=0.0)
        return TorchProgram(program, plan.record.precision)

    return _counted(open_device(plan, _noise(plan), queue, load), plan, backend)


def _noise(plan: Plan) -> list[InputNoise]:
    return noise_of_inputs(len(plan.record.inputs), small_plan.SIGMA, small_plan.SEED, 1)


def _counted(opened: Opened, plan: Plan, backend: str) -> str:
    options = BackendOptions(name=backend, batch=small_plan.BATCH, probe_rows=small_plan.BATCH)
    addresses = np.arange(len(small_plan.IMAGES))
    sigma, seed = small_plan.SIGMA, small_plan.SEED
    with closing(checked_backend(opened, plan, sigma, seed, options, small_plan.IMAGES, addresses)) as checked:
        return counted(checked)
