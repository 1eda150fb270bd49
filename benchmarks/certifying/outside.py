"""What a run costs beside its network: the same certificates with a constant in the network's place, in turn.

``gpu/outside.py`` asks the same of a GPU, where a batch's parts can be timed one by one in the device's own time.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from certifying.constant_plan import write_constant_plan
from certifying.engine_side import HOST, Engine, certify_by_engine
from certifying.parts import Parts, time_parts
from certifying.work import Certified, Work

from purecert.engine.bench.process import in_own_process
from purecert.engine.plans.plan import read_plan

MOST_OUTSIDE = 0.10  # of a run


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """Seconds over all images, a number for each round, and where those of the constant's loop go."""

    images: int
    network_loop_seconds: tuple[float, ...]
    constant_loop_seconds: tuple[float, ...]
    network_seconds: tuple[float, ...]  # of the process, start of Python left out
    constant_seconds: tuple[float, ...]
    parts: Parts  # for the same certificates, each part alone

    @property
    def share(self) -> float:
        """Return the median, over the rounds, of the constant's loop over the network's."""
        return _median_ratio(self.constant_loop_seconds, self.network_loop_seconds)

    @property
    def whole_share(self) -> float:
        """Return the same of the whole processes, which also import, open the backend and check its rows."""
        return _median_ratio(self.constant_seconds, self.network_seconds)


def measure_outside(plan: Path, work: Work, rounds: int, folder: Path) -> Outside:
    """Return both times of every round; network and constant are run in turn, each in a fresh process.

    Raises:
        PurecertError: A run failed.
    """
    network, constant = (Engine(backend=HOST, plan=place) for place in (plan, folder / "constant"))
    write_constant_plan(read_plan(plan), work.spec.sigma, constant.plan)
    found: dict[Engine, list[Certified]] = {network: [], constant: []}
    for seed in range(rounds):
        for engine, runs in found.items():
            output = folder / f"outside-{engine.plan.name}"
            runs.append(in_own_process(certify_by_engine, engine, work, seed, output))
    images = len(found[network][0].outcomes)
    return Outside(
        images=images,
        network_loop_seconds=tuple(run.loop_seconds for run in found[network]),
        constant_loop_seconds=tuple(run.loop_seconds for run in found[constant]),
        network_seconds=tuple(run.seconds for run in found[network]),
        constant_seconds=tuple(run.seconds for run in found[constant]),
        parts=in_own_process(time_parts, constant.plan, work, images, folder),
    )


def _median_ratio(part: tuple[float, ...], whole: tuple[float, ...]) -> float:
    return median(one / all_of_it for one, all_of_it in zip(part, whole, strict=True))
