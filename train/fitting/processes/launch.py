"""Starts the processes of a training on this machine, and ends with what they end with."""

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, TypeVarTuple

import torch
from torch.multiprocessing.spawn import ProcessException, ProcessExitedException, start_processes

from purecert.engine.errors import BackendError, PurecertError
from purecert.train.fitting.processes.group import Processes, group, torchrun_rank
from purecert.train.fitting.session import PausedError

Arguments = TypeVarTuple("Arguments")

_NAME = {"darwin": "lo0"}  # of the interface that leads back to this machine
_FAILED = 1


def usual_processes() -> int:
    """Return how many processes train by default: two where there are two processors, else one.

    On two cores two processes of one thread are faster than two threads (docs/training.md).
    """
    return min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def launch(
    function: Callable[[Processes, *Arguments], None], *arguments: *Arguments, count: int, on_gpus: bool = False
) -> None:
    """Call ``function(processes, *arguments)`` in ``count`` processes, or in this one where count is 1.

    Under torchrun this process is already one of its own, and ``count`` is torchrun's. Each process computes with one
    thread, and with the GPU of its rank where ``on_gpus``. The first to fail ends the others, and they end with this
    one.

    Args:
        function: Picklable, a module's own function; so are the arguments.
        arguments: What it is called with.
        count: Processes.
        on_gpus: Whether the networks are on GPUs.

    Raises:
        PurecertError: As the function does, in any of them.
        BackendError: A process died.
    """
    backend = "nccl" if on_gpus else "gloo"
    if given := torchrun_rank():
        if on_gpus:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        with group(backend, "env://", *given) as processes:
            function(processes, *arguments)
    elif count == 1:
        function(Processes(), *arguments)
    else:
        _spawn(function, arguments, count, backend)


def _spawn(function: Callable[..., None], arguments: tuple[Any, ...], count: int, backend: str) -> None:
    errors: SimpleQueue[PurecertError] = get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="purecert-") as folder, _without_warnings():
        given = (count, backend, (Path(folder) / "meeting").as_uri(), errors, function, arguments)
        try:
            start_processes(_one_of_them, given, nprocs=count, start_method="spawn")  # type: ignore[no-untyped-call]
        except ProcessException as error:
            if not errors.empty():
                raise errors.get() from None
            if not isinstance(error, ProcessExitedException):
                raise  # a fault in purecert: its traceback helps
            how = f"by {error.signal_name}" if error.signal_name else f"with exit code {error.exit_code}"
            raise BackendError(
                f"process {error.error_index} of {count} ended {how}; what was saved is kept, and the same command "
                "goes on from there"
            ) from error
    if not errors.empty():  # a pause
        raise errors.get()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep PyTorch from telling of each process that it ends after another one's failure."""
    logger = logging.getLogger("torch.multiprocessing.spawn")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _one_of_them(
    rank: int,
    count: int,
    backend: str,
    place: str,
    errors: "SimpleQueue[PurecertError]",
    function: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    torch.set_num_threads(1)
    if backend == "nccl":
        torch.cuda.set_device(rank)
    else:  # without it gloo looks up this machine's name to find its interface
        os.environ.setdefault("GLOO_SOCKET_IFNAME", _NAME.get(sys.platform, "lo"))
    with group(backend, place, rank, count) as processes:
        try:
            function(processes, *arguments)
        except PausedError as pause:  # each ends by itself: another one may still be saving
            if rank == 0:
                errors.put(pause)
        except PurecertError as error:  # told before the group is left, which makes the others fail
            errors.put(error)
            sys.exit(_FAILED)
