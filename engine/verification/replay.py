"""Noise and graph run again for some images of a run."""

import secrets
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from purecert.engine.backends.base import Backend
from purecert.engine.images.datasets import Dataset
from purecert.engine.noise.contract import ESTIMATE, SELECT
from purecert.engine.procedures.choosing import procedure_for
from purecert.engine.procedures.drawing import Draw, Procedure
from purecert.engine.procedures.extending import TwoLooks
from purecert.engine.procedures.outcomes import Abstention, Stops, stops_of
from purecert.engine.procedures.tables.rule import TableRule, stop_rule
from purecert.engine.records.lines import Line, draws_of, sparse_counts
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import class_counted
from purecert.engine.running.scheduler import Finished, Job, Scheduler


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """One image's line, and what its draws give here."""

    line: Line
    counts: tuple[dict[str, int], ...]  # as the line's
    looks: int
    stops: Stops = ()  # where stopping tables decide on these draws, of the class that the line counts; or a first look
    at_stops: Stops = ()  # how many successes there are where the line says that tables decided, or that it looked

    @property
    def differing(self) -> int:
        """Return the least number of draws that must have got another label."""
        nothing: dict[str, int] = {}  # of a phase that only the line or only the replay has
        pairs = zip_longest(self.counts, self.line.counts, fillvalue=nothing)
        *before, last = [differing_votes(one, other) for one, other in pairs] or [0]
        return sum(before) + max(last, self._differing_between_stops())

    def _differing_between_stops(self) -> int:
        """Return the same of the last phase by what is known of its parts: moved votes may even out at its end."""
        ahead = [
            written - found
            for (_, written), (_, found) in sorted(zip(stops_of(self.line.outcome), self.at_stops, strict=False))
        ]
        return sum(abs(later - before) for before, later in zip([0, *ahead], ahead, strict=False))


def replay(run: Run, backend: Backend, dataset: Dataset, chosen: Sequence[Line], *, exact: bool) -> list[Replayed]:
    """Return what the draws of ``chosen`` give on ``backend``, under the run's seed.

    On the run's own engine (``exact``) the procedure itself must end as the line says. Elsewhere one label more or less
    may stop it at another draw, so as many draws are replayed as the line counts.
    """
    spec, tv = run.record.spec, run.record.tv
    jobs = jobs_of(
        dataset, chosen, lambda line: procedure_for(spec, tv, line.label) if exact else _as_counted(run, line)
    )
    ends = zip(chosen, Scheduler(backend).run(jobs), strict=True)
    return [_replayed(line, finished, exact=exact) for line, finished in ends]


def _replayed(line: Line, finished: Finished, *, exact: bool) -> Replayed:
    """Return what one image's draws gave; elsewhere its procedure hands over both kinds of places."""
    stops, written = stops_of(finished.outcome), len(stops_of(line.outcome))
    return Replayed(
        line=line,
        counts=tuple(sparse_counts(finished.counts[phase]) for phase in sorted(finished.counts)),
        looks=finished.looks,
        stops=stops if exact else stops[written:],
        at_stops=() if exact else stops[:written],
    )


def chosen_lines(lines: Sequence[Line], count: int) -> list[Line]:
    """Return ``count`` of ``lines``, chosen at random so that a forger could not know, in the order of their images."""
    return sorted(secrets.SystemRandom().sample(lines, count), key=lambda line: line.index)


def jobs_of(dataset: Dataset, lines: Sequence[Line], procedure: Callable[[Line], Procedure]) -> Iterator[Job]:
    """Yield a job for the image of each of ``lines``."""
    position = {int(index): i for i, index in enumerate(dataset.indices)}
    for line in lines:
        pixels = dataset.images[position[line.index]]
        yield Job(image_index=line.index, label=line.label, pixels=pixels, procedure=procedure(line))


def replay_problems(replayed: Sequence[Replayed], *, exact: bool, allowed: float) -> list[str]:
    """Return in what the replay is not what the lines say, where more than a share ``allowed`` of labels differ."""
    return [problem for each in replayed for problem in _problems(each, exact=exact, allowed=allowed)]


def _problems(each: Replayed, *, exact: bool, allowed: float) -> Iterator[str]:
    image, line = f"image {each.line.index}", each.line
    if each.differing > allowed * draws_of(line):
        yield f"{image}: {each.differing} of {draws_of(line)} replayed labels differ"
    if exact and each.looks != line.looks:
        yield f"{image}: replayed, its procedure looked {each.looks} times, the line says {line.looks}"
    if exact and each.stops != stops_of(line.outcome):
        yield f"{image}: replayed, its looks are {each.stops}, the line says {stops_of(line.outcome)}"


def differing_votes(one: dict[str, int], other: dict[str, int]) -> int:
    """Return the least number of labels that must differ between two sets of counts; draws that one lacks do."""
    more = [one.get(key, 0) - other.get(key, 0) for key in one.keys() | other.keys()]
    return max(sum(max(difference, 0) for difference in more), sum(max(-difference, 0) for difference in more))


def _as_counted(run: Run, line: Line) -> Procedure:
    """Draw as many of each phase as the line counts, looking wherever tables look, or where draws were continued.

    What is returned holds the successes where the line has a look, and then the looks of the same rule here.
    """
    spec, first = run.record.spec, ESTIMATE if run.record.spec.against_label else SELECT
    top, written = class_counted(run.record, line), stops_of(line.outcome)
    rule = stop_rule(spec, run.record.tv) if spec.mode == "certify" else None
    seen, stops = {0: 0}, Stops()
    for phase, counts in enumerate(line.counts, first):
        whole = sum(counts.values())
        if phase != ESTIMATE or top is None or not isinstance(rule, TableRule | TwoLooks):
            yield Draw(phase, whole)
            continue
        watch, drawn, successes = rule.watch(), 0, 0
        for look in (*rule.looks[: bisect_left(rule.looks, whole)], whole):
            successes += int((yield Draw(phase, look - drawn))[top])
            drawn, seen[look] = look, successes
            watch.remaining(successes, look)
        stops = watch.decided()
    return Abstention((*((draws, seen.get(draws, 0)) for draws, _ in written), *stops))
