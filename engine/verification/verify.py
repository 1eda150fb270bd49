"""A run checked afterwards: its form, its arithmetic, and (for a share of its images) its votes."""

import math
from contextlib import closing
from dataclasses import dataclass, field

from purecert.engine.backends.base import BackendInfo, BackendOptions
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset
from purecert.engine.plans.plan import Plan
from purecert.engine.records.lines import draws_of
from purecert.engine.records.run import Run
from purecert.engine.verification.elsewhere import compare_elsewhere, leaning_problems, most_differing
from purecert.engine.verification.engines import (
    engine_differences,
    found_problems,
    open_again,
    options_of,
    placement_differences,
    threads_are_one_engine,
)
from purecert.engine.verification.fresh_seed import certify_afresh, fresh_problems
from purecert.engine.verification.replay import Replayed, chosen_lines, replay, replay_problems
from purecert.engine.verification.result import Difference, Elsewhere, FreshSeed, Verification
from purecert.engine.verification.unchecked import unchecked
from purecert.engine.verification.written import written_problems


@dataclass(slots=True)
class _Found:
    """What was found so far."""

    problems: list[str] = field(default_factory=list)
    here: BackendInfo | None = None
    differences: tuple[Difference, ...] = ()
    replayed: list[Replayed] = field(default_factory=list)
    elsewhere: Elsewhere | None = None
    fresh: FreshSeed | None = None


def verify_run(
    run: Run,
    plan: Plan,
    dataset: Dataset,
    *,
    share: float,
    threads: int,
    trust: bool = False,
    strict: bool = False,
    fresh_seed: bool = False,
) -> Verification:
    """Check ``run`` against the plan and the data it names, and replay ``share`` of its images (at least one).

    Which images are replayed is chosen now, at random, so that a forger could not know. On the run's own backend,
    versions, batch and hardware every count must agree. Elsewhere nothing is verified: a few labels may differ, and
    what they leave of the claims is reported; more than the gate of an FP16 plan would let pass, or a lean toward the
    claimed classes that chance does not explain, are a problem. So is another engine under ``strict``. ``fresh_seed``
    certifies as many images again under a seed of the system's entropy.

    Raises:
        InputError: ``share`` is not in [0, 1], or the plan or the data cannot be used for a replay.
        BackendError: The run's backend is missing here.
        CheckError: Rows influence each other.
    """
    if not 0 <= share <= 1:
        raise InputError(f"expected a share in [0, 1], got {share}")
    if fresh_seed and share == 0:
        raise InputError("expected a share above 0 of images to certify under a fresh seed, got 0")
    found = _Found(problems=written_problems(run, plan, dataset))
    if not found.problems and share > 0:
        options = options_of(run.record, threads=threads, trust=trust)
        _replay(found, run, plan, dataset, options, share, strict=strict)
        if fresh_seed:
            found.fresh, info = certify_afresh(run, plan, dataset, options, share)
            found.problems += fresh_problems(found.fresh) + found_problems(run.record, plan, info)
            found.differences = found.differences or placement_differences(run.record.backend, info)
    return _result(run, plan, found)


def _replay(
    found: _Found, run: Run, plan: Plan, dataset: Dataset, options: BackendOptions, share: float, *, strict: bool
) -> None:
    record, chosen = run.record, chosen_lines(run.lines, max(1, math.ceil(share * len(run.lines))))
    backend = open_again(plan, dataset, record, record.seed, options)
    with closing(backend):
        found.here = backend.info
        found.differences = engine_differences(record.backend, found.here)
        if [each.field for each in found.differences] == ["threads"] and threads_are_one_engine(
            plan, record, dataset, options
        ):
            found.differences = ()
        exact = not found.differences
        found.replayed = replay(run, backend, dataset, chosen, exact=exact)
    if strict:
        found.problems += [f"--strict: run.json names another engine: backend.{each}" for each in found.differences]
    found.problems += found_problems(record, plan, found.here)
    found.problems += replay_problems(
        found.replayed, exact=exact, allowed=0.0 if exact else most_differing(record.precision)
    )
    if not exact:
        same_precision = found.here.executed_precision == record.backend.executed_precision
        found.elsewhere = compare_elsewhere(record, found.replayed, same_precision=same_precision)
        found.problems += leaning_problems(found.elsewhere)


def _result(run: Run, plan: Plan, found: _Found) -> Verification:
    data, replayed = run.record.data, len(found.replayed)
    return Verification(
        spec=run.record.spec,
        images=len(run.lines),
        replayed=replayed,
        exact=None if found.here is None else not found.differences,
        differences=found.differences,
        differing_labels=sum(each.differing for each in found.replayed),
        replayed_draws=sum(draws_of(each.line) for each in found.replayed),
        plan=run.record.plan,
        data=data.fingerprint,
        data_name=data.name,
        slice=data.slice,
        elsewhere=found.elsewhere,
        fresh=found.fresh,
        unchecked=unchecked(
            run, plan, found.here, found.differences, replayed=replayed, is_fresh=found.fresh is not None
        ),
        problems=tuple(dict.fromkeys(found.problems)),
    )
