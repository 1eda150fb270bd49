"""How long a device takes for what is enqueued: events around it on a GPU, the clock on the host."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from purecert.engine.backends.torch.queue import TorchQueue

_WARM_UPS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """The times of one piece of work, in seconds."""

    median: float
    p10: float
    p90: float
    samples: int


def device_seconds(queue: TorchQueue, enqueue: Callable[[], object]) -> float:
    """Return how long the device was at what ``enqueue`` enqueues; the queue is empty before and after."""
    if queue.device.type == "cpu":
        began = perf_counter()
        enqueue()
        return perf_counter() - began
    start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    with queue.entered():
        start.record()
        enqueue()
        end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3


def measure(queue: TorchQueue, enqueue: Callable[[], object], samples: int) -> Spread:
    """Return the spread of ``samples`` times after a warm-up."""
    for _ in range(_WARM_UPS):
        device_seconds(queue, enqueue)
    return spread([device_seconds(queue, enqueue) for _ in range(samples)])


def spread(seconds: list[float]) -> Spread:
    """Return the median and the tenths at both ends of ``seconds``."""
    p10, median, p90 = np.quantile(seconds, [0.1, 0.5, 0.9])
    return Spread(median=float(median), p10=float(p10), p90=float(p90), samples=len(seconds))
