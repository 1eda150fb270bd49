"""Whole certificates in rounds: the field's loop and every engine in turn, each time in a fresh process."""

from collections.abc import Callable
from functools import partial

from certifying.comparison import Compared, Comparison, Outputs, fastest, side_result, votes_of_rounds
from certifying.engine_side import Engine, certify_by_engine
from certifying.field_side import certify_by_field
from certifying.labels import Labelled, label_by_engine
from certifying.work import Certified

from purecert.engine.bench.agreement import compare
from purecert.engine.bench.judge import agreement_limit
from purecert.engine.bench.measure import Task
from purecert.engine.bench.process import in_own_process
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import read_plan
from purecert.export.bench.jobs import Reference, find_reference, label_eagerly
from purecert.export.bench.spec import CPU_VARIANTS, CUDA_VARIANTS, BenchSpec

Talk = Callable[[str], None]
Side = Callable[[int], Certified]  # seed -> what a fresh process finds

_SECONDS = 1.0  # of engine-bench's own measurements, none of which is made here


def compare_sides(asked: Comparison, talk: Talk) -> Compared:
    """Return what every side took, and whether it answers the same.

    Raises:
        InputError: The model is not at hand or not that of the plans, or an engine comes twice.
        PurecertError: A side cannot run here.
    """
    model = _reference(asked)
    specs = {side_name(engine): _spec(engine, asked) for engine in asked.engines}
    if len(specs) < len(asked.engines):
        raise InputError("expected engines that differ in backend or in their plan's folder name, got one twice")
    task = specs[side_name(asked.engines[0])].task(compares=True)
    talk(f"labelling {len(task.draws)} noisy rows in eager FP32 and by every engine")
    expected = in_own_process(label_eagerly, task, str(model.model))
    labelled = {name: _label(spec) for name, spec in specs.items()}  # compiles what has to be compiled
    found = _rounds(asked, _sides(asked, model, task), talk)
    baseline = fastest({side: runs for side, runs in found.items() if side not in labelled})
    sides = [side_result(name, runs, found[baseline]) for name, runs in found.items() if name not in labelled]
    for name, one in labelled.items():
        outputs = Outputs(
            agreement=compare(one.labels, expected, task.draws),
            agreement_limit=agreement_limit(specs[name].plan.record.precision, found[name][0].executed_precision),
            votes=votes_of_rounds(found[name], found[baseline]),
        )
        sides.append(side_result(name, found[name], found[baseline], one.build_seconds, outputs))
    return Compared(accelerator=model.accelerator, baseline=baseline, sides=tuple(sides))


def side_name(engine: Engine) -> str:
    """Return how an engine is called in tables."""
    return f"{engine.backend} ({engine.plan.resolve().name})"


def _reference(asked: Comparison) -> Reference:
    """Return the model that all plans were exported from."""
    digests = {read_plan(engine.plan).record.model_sha256 for engine in asked.engines}
    if len(digests) > 1:
        raise InputError("expected plans of one model, they were exported from several; compare them one by one")
    reference = in_own_process(find_reference, asked.model, digests.pop())
    if reference.model is None:
        raise InputError(reference.note)
    return reference


def _spec(engine: Engine, asked: Comparison) -> BenchSpec:
    """Return what engine-bench would be asked for: it checks plan, data and options, and picks the rows to label."""
    work = asked.work
    return BenchSpec(
        plan=read_plan(engine.plan),
        data=load_dataset(work.data, work.data_dir),
        sigma=work.spec.sigma,
        model=asked.model,
        backends=(engine.backend,),
        batches=(work.batch,),
        threads=work.threads,
        seconds=_SECONDS,
        probe_rows=work.probe_rows,
        agreement_draws=asked.agreement_draws,
        trust=False,
    )


def _label(spec: BenchSpec) -> Labelled:
    return in_own_process(label_by_engine, spec.task(compares=True), spec.backend(spec.backends[0], spec.batches[0]))


def _sides(asked: Comparison, reference: Reference, task: Task) -> dict[str, Side]:
    """Return the sides in the order in which a round runs them; the field's first."""
    variants = CPU_VARIANTS if reference.accelerator is None else CUDA_VARIANTS
    sides: dict[str, Side] = {
        f"eager {variant}": partial(in_own_process, certify_by_field, task, str(reference.model), variant, asked.work)
        for variant in variants
    }
    for number, engine in enumerate(asked.engines):
        output = asked.folder / f"run-{number}"
        sides[side_name(engine)] = partial(in_own_process, certify_by_engine, engine, asked.work, output=output)
    return sides


def _rounds(asked: Comparison, sides: dict[str, Side], talk: Talk) -> dict[str, list[Certified]]:
    found: dict[str, list[Certified]] = {name: [] for name in sides}
    for number in range(asked.rounds):
        for name, run in sides.items():
            found[name].append(run(number))  # the number is the seed: rounds are of independent draws
            last = found[name][-1]
            talk(f"round {number + 1}: {name}, {last.loop_seconds:.2f} s of {last.seconds:.2f} s")
    return found
