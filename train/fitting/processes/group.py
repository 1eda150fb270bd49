"""The processes that train one network together: each has its rows of a batch, and all have the same weights."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from purecert.engine.errors import BackendError, InputError, one_line


@dataclass(frozen=True, kw_only=True, slots=True)
class Processes:
    """Which of how many processes this one is."""

    rank: int = 0  # the first one, 0, writes and talks
    count: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def rows(self, batch: int) -> slice:
        """Return the rows of a batch that are this process's.

        Raises:
            InputError: The batch cannot be shared evenly, so the mean over processes would not be the batch's.
        """
        if batch % self.count:
            raise InputError(f"a batch of {batch} cannot be shared evenly by {self.count} processes; choose a divisor")
        share = batch // self.count
        return slice(self.rank * share, (self.rank + 1) * share)

    @torch.no_grad()
    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor, in place, by its mean over the processes; nothing changes where there is only one.

        It is one message. With two processes the sum is the same in either order; with more its order is the
        library's, the same every time.

        Raises:
            BackendError: Another process has ended.
        """
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with _other_processes():
            dist.all_reduce(flat)
        flat /= self.count
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    @torch.no_grad()
    def gather(self, rows: Tensor) -> Tensor:
        """Return the rows of all processes, this one's own first and the others' in the order of their ranks.

        Every process gives as many. No gradient goes through.

        Raises:
            BackendError: Another process has ended.
        """
        if self.count == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.count)]
        with _other_processes():
            dist.all_gather(parts, rows.contiguous())
        return torch.cat([rows, *(part for rank, part in enumerate(parts) if rank != self.rank)])

    def agree(self, value: int) -> bool:
        """Return, in every process alike, whether all of them have the same value; all have waited for each other."""
        on_gpu = self.count > 1 and dist.get_backend() == "nccl"
        told = torch.tensor([value], dtype=torch.float64, device="cuda" if on_gpu else "cpu")
        self.average_([told])
        differs = (told != value).double()  # one of three may have the mean
        self.average_([differs])
        return not bool(differs)


@contextmanager
def _other_processes() -> Iterator[None]:
    """Say in one line that another process has ended, where talking to it fails."""
    try:
        yield
    except RuntimeError as error:  # gloo's and NCCL's own are of this kind
        reason = one_line(error)[:200]
        raise BackendError(
            f"the processes of this training lost each other ({reason}); run the command again"
        ) from error


@contextmanager
def group(backend: str, place: str, rank: int, count: int) -> Iterator[Processes]:
    """Join the other processes at ``place``, and leave them at the end.

    Args:
        backend: gloo on processors, nccl on GPUs.
        place: The same for all of them: the URL of a file that all of them see, file://PATH, or env://.
        rank: Which one this is, from 0.
        count: How many there are.
    """
    dist.init_process_group(backend, init_method=place, rank=rank, world_size=count)
    try:
        yield Processes(rank=rank, count=count)
    finally:
        dist.destroy_process_group()


def torchrun_rank() -> tuple[int, int] | None:
    """Return rank and count that torchrun gave this process; None where it was not started by torchrun."""
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if not all(name in os.environ for name in names):
        return None
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
