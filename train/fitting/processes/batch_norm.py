"""Batch norm whose batch is that of all processes (Ioffe and Szegedy 2015, algorithm 1, over their rows together).

PyTorch's SyncBatchNorm has no path on processors. This one is plain arithmetic around a mean over the processes, so it
runs wherever the processes can speak, and mean, variance, gradient and running statistics are those of one process
that has the whole batch, up to rounding.
"""

from collections.abc import Callable
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from purecert.train.fitting.processes.group import Processes

_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def share_batch_norms(module: nn.Module, processes: Processes) -> nn.Module:
    """Return ``module``, changed: its batch norms normalise by the rows of all processes, under the same keys.

    In eval mode, and where there is one process, they compute what they did.

    Raises:
        ValueError: A batch norm is of another kind than the three plain ones, or has no weights, no running
            statistics, or a plain mean of all batches as these.
    """
    if isinstance(module, _BatchNorm):
        return _SharedBatchNorm(module, processes)
    for name, child in module.named_children():
        setattr(module, name, share_batch_norms(child, processes))
    return module


@final
class _SharedBatchNorm(nn.Module):
    """(x - mean) / sqrt(variance + eps) weight + bias, over all axes except the second, and over the processes."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, norm: nn.Module, processes: Processes) -> None:
        super().__init__()
        usual = isinstance(norm, _BatchNorm) and type(norm) in _PLAIN and norm.affine and norm.track_running_stats
        if not isinstance(norm, _BatchNorm) or not usual or norm.momentum is None:
            raise ValueError(f"expected a plain batch norm with weights, running statistics and a momentum, got {norm}")
        self.processes, self.eps, self.momentum = processes, norm.eps, norm.momentum
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)
        self.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked += 1
        if not self.training or self.processes.count == 1:
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
            )
        return self._normalise(x)

    def _normalise(self, x: Tensor) -> Tensor:
        axes = [0, *range(2, x.dim())]
        shape = [1, -1, *[1] * (x.dim() - 2)]
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        values = x.numel() // x.shape[1]
        mean = _mean(wide.mean(dim=axes), values, self.processes)
        centred = wide - mean.view(shape)
        variance = _mean(centred.square().mean(dim=axes), values, self.processes)  # two passes: no digits cancel
        self._track(mean.detach(), variance.detach(), values)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(shape) + self.bias.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, values: int) -> None:
        """Move the running statistics, as PyTorch does: the variance without its bias."""
        everywhere = values * self.processes.count
        unbiased = variance * (everywhere / (everywhere - 1))
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)


def _mean(value: Tensor, values: int, processes: Processes) -> Tensor:
    """Return the mean over the processes, each of which has the mean of as many ``values``."""
    average: Callable[[Tensor, Processes], Tensor] = cast(Any, _MeanOverProcesses).apply
    mean = average(torch.cat([value, value.new_full((1,), values)]), processes)
    if float(mean[-1].detach()) != values:
        raise ValueError(f"expected as many values in every process's batch norm, here {values}, elsewhere others")
    return mean[:-1]


class _MeanOverProcesses(torch.autograd.Function):
    """The mean over the processes, whose gradients are averaged afterwards.

    With R processes and the mean loss L = 1/R sum_s l_s, dL/dm_r = 1/R (1/R sum_s dl_s/dm): what a process
    contributes before its gradients are averaged is the mean over the processes of what reached it.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        mean = value.clone()
        processes.average_([mean])
        return mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        mean = gradient.clone()
        ctx.processes.average_([mean])
        return mean, None
