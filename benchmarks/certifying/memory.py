"""Peak memory of engine-certify at several n, in turn, each time in a fresh process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from certifying.engine_side import Engine, certify_by_engine
from certifying.work import Work

from purecert.engine.bench.process import in_own_process

_LEAST_NOISE = 2**19  # bytes; equal runs were seen to differ by 0.3 MiB, and three may happen to be the same


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryAt:
    """The peaks of the runs at one n, in bytes, resident."""

    n: int
    peaks: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """How memory changes with n, and how much of that equal runs differ by."""

    backend: str
    sizes: tuple[MemoryAt, ...]  # the smallest n first

    @property
    def growth(self) -> int:
        """Return by how many bytes the median at the largest n exceeds that at the smallest."""
        return int(median(self.sizes[-1].peaks) - median(self.sizes[0].peaks))

    @property
    def noise(self) -> int:
        """Return the largest difference in bytes between two runs of one n."""
        return max(max(size.peaks) - min(size.peaks) for size in self.sizes)

    @property
    def grows(self) -> bool:
        """Return whether the growth is beyond what equal runs differ by."""
        return self.growth > max(self.noise, _LEAST_NOISE)


def measure_memory(engine: Engine, work: Work, sizes: Sequence[int], runs: int, folder: Path) -> Growth:
    """Return the peaks of ``runs`` runs at every n of ``sizes``; the work's own n is not used.

    Raises:
        BackendError: A run failed; it has said why on stderr.
    """
    peaks: dict[int, list[int]] = {n: [] for n in sorted(sizes)}
    for seed in range(runs):
        for n, found in peaks.items():
            asked = replace(work, spec=replace(work.spec, n_estimate=n))
            found.append(in_own_process(certify_by_engine, engine, asked, seed, folder / f"memory-{n}").memory_peak)
    return Growth(backend=engine.backend, sizes=tuple(MemoryAt(n=n, peaks=tuple(found)) for n, found in peaks.items()))
