"""What computes here, in words that tell two machines' results apart."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")


def describe_cpu() -> str:
    """Return the processor's model and architecture, e.g. ``"x86_64 AMD EPYC 9R14"``."""
    return f"{platform.machine()} {_cpu_model()}"


def cpu_flags() -> frozenset[str]:
    """Return what the processor can do, in Linux's words, such as "avx512_vnni"; nothing where that is not told."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text("ascii", "replace").splitlines() if path.exists() else []
    found = [line.partition(":")[2] for line in lines if line.startswith(("flags", "Features"))]
    return frozenset(found[0].split() if found else ())


def available_threads(root: Path = _ROOT) -> int:
    """Return how many processors this process may use, at least 1.

    That is how many it may run on, or as many whole ones as the time that a container's control groups leave it, if
    fewer: ``docker run --cpus 2.5`` is 2. Control groups are looked for where Linux systems mount them.

    Args:
        root: Where the file system of this machine begins.
    """
    return max(1, min([_processors(), *(int(share) for share in _quotas(root))]))


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux; elsewhere all processors are ours
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """Yield the limits on processor time of this process's control groups and of those around them, in processors."""
    mounts = root / "sys" / "fs" / "cgroup"
    for line in _words(root / "proc" / "self" / "cgroup", "\n"):
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:  # version 2
            for folder in _folders((mounts, mounts / "unified"), group):
                yield from _share(_words(folder / "cpu.max"))
        elif "cpu" in controllers.split(","):
            for folder in _folders((mounts / "cpu", mounts / controllers), group):
                yield from _share(_words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us"))


def _folders(mounts: tuple[Path, ...], group: str) -> Iterator[Path]:
    """Yield where the files of a group and of those around it may lie.

    Inside a container the mount may be the container's own group, and the path still count from outside.
    """
    parts = PurePosixPath(group.lstrip("/")).parts
    if ".." in parts:  # a group outside of what this process sees
        parts = ()
    for mount in mounts:
        yield from (mount.joinpath(*parts[:depth]) for depth in range(len(parts) + 1))


def _share(words: list[str]) -> Iterator[float]:
    """Yield the processors that a quota and its period make, in microseconds; ``max`` and -1 are no limit."""
    if len(words) == 2 and all(word.isascii() and word.isdigit() for word in words) and int(words[1]) > 0:
        yield int(words[0]) / int(words[1])


def _words(path: Path, separator: str | None = None) -> list[str]:
    """Return the words of a file of the kernel; where there is none, or none to read, it sets no limit."""
    try:
        return path.read_text("ascii", "replace").split(separator)
    except OSError:
        return []


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text("ascii", "replace").splitlines():
            if line.startswith(("model name", "Hardware")):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
