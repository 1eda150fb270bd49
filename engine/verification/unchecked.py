"""What a verification did not check, and what none can: said with every result."""

import math
from collections.abc import Iterator, Sequence

import purecert
from purecert.engine.backends.base import BackendInfo
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.invalid_rows import invalid_of
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import marks_of
from purecert.engine.statistics.sampling_odds import escape_probability
from purecert.engine.verification.result import Difference, Escape, Unchecked

_SHARES = (0.05, 0.2)  # of the images, beside a single one
_BEST_OF_SEVERAL = "the best of several runs"
_PLAN_FIGURES = "the plan maker's own parity figures"
_GROUND = "a seed, images' indices or a number of images tried until they suited"


def unchecked(
    run: Run,
    plan: Plan,
    here: BackendInfo | None,
    differences: Sequence[Difference],
    *,
    replayed: int,
    is_fresh: bool,
) -> Unchecked:
    """Return what a verification that replayed so many images did not check.

    Args:
        run: As read.
        plan: The run's.
        here: The engine that replayed; None where none did.
        differences: In what that is another than the run's.
        replayed: Images.
        is_fresh: Whether images were certified again under a fresh seed.
    """
    images = len(run.lines)
    rows = sorted({min(images, max(1, math.ceil(share * images))) for share in (0.0, *_SHARES)}) if images else []
    ground = f"{_GROUND}, where the fresh seed's test does not see it" if is_fresh else _GROUND
    return Unchecked(
        marks=(*marks_of(run.record, images), *_invalid_mark(run)),
        own_word=tuple(_own_word(run, plan, here, differences, replayed)),
        escapes=tuple(Escape(rows=wrong, probability=escape_probability(images, wrong, replayed)) for wrong in rows),
        never_seen=(ground, _BEST_OF_SEVERAL, _PLAN_FIGURES),
    )


def _invalid_mark(run: Run) -> Iterator[str]:
    """Yield that too many rows are invalid: today's version ends such a run, older ones went on."""
    if problem := invalid_of(run.lines).problem():
        yield f"too many invalid rows: {problem}"


def _own_word(
    run: Run, plan: Plan, here: BackendInfo | None, differences: Sequence[Difference], replayed: int
) -> Iterator[str]:
    record = run.record
    if not record.seed_given:
        yield "seed_given = false: that the seed was not chosen by hand"
    if here is None:
        yield "backend, all of it: none was opened"
    elif differences:
        named = sorted({each.field for each in differences} | {"placement", "probed", "executed_precision", "nodes"})
        yield f"backend.{{{', '.join(named)}}} of another engine"
    if not record.backend.trusted and (here is None or here.graph != plan.graph(record.spec.sigma).sha256):
        yield "trusted = false: that no compiled file was loaded unchecked"
    if record.purecert != purecert.__version__:
        yield f"purecert = {record.purecert}, which is {purecert.__version__} here"
    yield from _before_the_draws(record.spec)
    if record.data.slice is None:
        yield "data.slice: not recorded"
    unseen = len(run.lines) - (0 if differences or here is None else replayed)
    if unseen and record.spec.stop is not None:  # of a fixed n there is one
        yield f"looks of {unseen} images, whose procedure was not run again"


def _before_the_draws(spec: SmoothingSpec) -> Iterator[str]:
    """Yield what must have been chosen before the first draw, which no reader can see."""
    if not spec.selects:
        yield f"spec.n_select = {spec.n_select}: no draws of their own pick the class here"
    if spec.extension is not None:
        yield "spec.extension: that alpha was split before the first draw"
    if spec.stop is not None and spec.stop.tables:
        yield "spec.stop.price: that it was chosen before the first draw"
