"""One step of a training: loss, gradient, what the processes share of both, and the optimiser's move."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from purecert.train.fitting.draws import Batch
from purecert.train.fitting.plans.layers import SHARE
from purecert.train.fitting.processes.group import Processes

Objective = Callable[[Batch], Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Slope:
    """What one step found, the same in every process."""

    loss: float
    norm: float  # L2, of the whole gradient
    is_over: bool  # a process has reached the deadline

    @property
    def fault(self) -> str | None:
        """What is not finite, in words; None where all is."""
        if not math.isfinite(self.loss):
            return f"the loss is {self.loss}"
        return None if math.isfinite(self.norm) else f"the gradient's norm is {self.norm}"


def find_slope(
    module: nn.Module,
    objective: Objective,
    batch: Batch,
    precision: Literal["fp32", "bf16"],
    processes: Processes,
    *,
    is_over: bool = False,
) -> Slope:
    """Leave the gradient of the objective's mean over all processes in the module, and return what it found.

    Buffers, such as the running statistics of batch norm, become their mean over the processes too, so that all of
    them keep the same network.
    """
    module.zero_grad(set_to_none=True)
    device = batch.images.device.type
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        loss = objective(batch)
    torch.autograd.backward(loss)
    told = torch.stack([loss.detach().float(), torch.full_like(loss.detach(), float(is_over)).float()])
    if processes.count > 1:
        _share(module, told, processes)
    value, over = told.tolist()
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    return Slope(loss=value, norm=float(get_total_norm(gradients)), is_over=over > 0)


def _share(module: nn.Module, told: Tensor, processes: Processes) -> None:
    """Average loss, deadline, gradients and buffers over the processes, in one message."""
    trained = [p for p in module.parameters() if p.requires_grad]
    has_gradient = torch.tensor([float(p.grad is not None) for p in trained], device=told.device)
    for p in trained:  # every process sends as much, whichever weights its rows reached
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
    buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
    processes.average_([told, has_gradient, *(p.grad for p in trained if p.grad is not None), *buffers])
    for p, share in zip(trained, has_gradient.tolist(), strict=True):
        if not share:
            p.grad = None  # an optimiser leaves these alone, as it would with one process


def move(module: nn.Module, optimizer: torch.optim.Optimizer, slope: Slope, rate: float, clip: float | None) -> None:
    """Take the optimiser's step at ``rate``, or a group's share of it, along a gradient no longer than ``clip``."""
    if clip is not None:
        clip_grads_with_norm_(_trained(module.parameters()), clip, torch.tensor(slope.norm))
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(SHARE, 1.0)
    optimizer.step()


def _trained(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return [p for p in parameters if p.grad is not None]
