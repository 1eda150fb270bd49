"""What computes here, in words that tell two machines' results apart."""

import os
import platform
from pathlib import Path


def describe_cpu() -> str:
    """Return the processor's model and architecture, e.g. ``"x86_64 AMD EPYC 9R14"``."""
    return f"{platform.machine()} {_cpu_model()}"


def available_threads() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux; elsewhere all processors are ours
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text("ascii", "replace").splitlines():
            if line.startswith(("model name", "Hardware")):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
