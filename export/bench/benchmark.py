"""A whole benchmark: every backend and the field's loop, each in a process of its own, judged and put side by side."""

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version

import numpy as np

import purecert
from purecert.engine.bench.agreement import SEED, Labels
from purecert.engine.bench.judge import Yardstick, judge, with_ratios
from purecert.engine.bench.measure import Measurement, measure_backend
from purecert.engine.bench.process import in_own_process
from purecert.engine.bench.record import BENCH_SCHEMA, BenchMachine, Benchmark, MeasuredRow, RowName, UnusableRow
from purecert.engine.errors import BackendError, InputError, PurecertError
from purecert.engine.hardware import available_threads, describe_cpu
from purecert.export.bench.jobs import (
    Reference,
    find_reference,
    label_eagerly,
    rate_matrices,
    time_eagerly,
)
from purecert.export.bench.spec import CPU_VARIANTS, CUDA_VARIANTS, BenchSpec, Variant

Talk = Callable[[str], None]
Found = tuple[RowName, Measurement | str]  # a row, and what its process found or why it could not

_PACKAGES = ("numpy", "onnx", "onnxruntime", "openvino", "torch")


def run_benchmark(spec: BenchSpec, talk: Talk = lambda line: None) -> Benchmark:
    """Return the measured rows: baselines first, then every backend at every batch.

    What cannot run here is a row that says why. ``talk`` hears what a person should know meanwhile.

    Raises:
        InputError: The model named is not the one that the plan was exported from.
    """
    reference = _find_reference(spec)
    labels, note = _reference_labels(spec, reference, talk)
    compares = labels is not None
    found = [*_baselines(spec, reference, talk, compares=compares), *_backends(spec, talk, compares=compares)]
    flops, flops_note = _flops(spec)
    by = Yardstick(
        plan_precision=spec.plan.record.precision,
        flops_per_row=flops,
        matrix_rates=_matrix_rates(found, spec, talk),
        draws=spec.task(compares=compares).draws,
        reference=labels,
        reference_note=note,
        threads=spec.threads,
    )
    return Benchmark(
        schema=BENCH_SCHEMA,
        purecert=purecert.__version__,
        options=spec.options(),
        plan=spec.plan.digest,
        precision=spec.plan.record.precision,
        purifier=spec.plan.record.purifier,
        seed=SEED,
        machine=describe_machine(spec.threads, reference.accelerator),
        flops_per_row=flops,
        flops_note=flops_note,
        reference_note=note,
        reference_top_share=None
        if labels is None
        else float(np.unique(labels, return_counts=True)[1].max() / len(labels)),
        rows=_judged(found, by, reference),
    )


def _find_reference(spec: BenchSpec) -> Reference:
    try:
        return in_own_process(find_reference, spec.model, spec.plan.record.model_sha256)
    except BackendError as error:
        return Reference(model=None, note=str(error), accelerator=None)


def _reference_labels(spec: BenchSpec, reference: Reference, talk: Talk) -> tuple[Labels | None, str]:
    """Return eager FP32's labels, or None and why there are none."""
    if reference.model is None:
        talk(f"no baseline and no agreement: {reference.note}")
        return None, reference.note
    task = spec.task(compares=True)
    talk(f"labelling {len(task.draws)} noisy rows in eager FP32")
    try:
        return in_own_process(label_eagerly, task, reference.model), ""
    except PurecertError as error:
        return None, _plain(error, spec)


def _baselines(spec: BenchSpec, reference: Reference, talk: Talk, *, compares: bool) -> Iterator[Found]:
    if reference.model is None:
        return
    task = spec.task(compares=compares)
    for variant in _variants(reference):
        for batch in spec.batches:
            row = RowName(name="eager", variant=variant, is_baseline=True, batch=batch)
            measure = partial(in_own_process, time_eagerly, task, reference.model, variant, batch)
            yield _attempt(row, measure, spec, talk)


def _backends(spec: BenchSpec, talk: Talk, *, compares: bool) -> Iterator[Found]:
    task = spec.task(compares=compares)
    for name in spec.backends:
        for batch in spec.batches:
            row = RowName(name=name, variant="", is_baseline=False, batch=batch)
            yield _attempt(row, partial(in_own_process, measure_backend, task, spec.backend(name, batch)), spec, talk)


def _attempt(row: RowName, measure: Callable[[], Measurement], spec: BenchSpec, talk: Talk) -> Found:
    talk(f"measuring {row.title} at batch {row.batch}")
    try:
        return row, measure()
    except PurecertError as error:
        return row, _plain(error, spec)


def _plain(error: PurecertError, spec: BenchSpec) -> str:
    """Return the error as one line, with the plan's name in place of its path, which may be private."""
    name = spec.plan.directory.name
    return " ".join(str(error).replace(os.fspath(spec.plan.directory), name).split())


def _variants(reference: Reference) -> tuple[Variant, ...]:
    return CPU_VARIANTS if reference.accelerator is None else CUDA_VARIANTS


def _flops(spec: BenchSpec) -> tuple[int | None, str]:
    """Return the operations of one row of the plan's graph, or None and why they are not known."""
    try:
        from purecert.export.graph.flops import count_flops
    except ModuleNotFoundError as error:
        return None, f"counting operations needs the package {error.name}; run: pip install 'purecert[export]'"
    try:
        return count_flops(spec.plan.read_graph(spec.sigma)), ""
    except InputError as error:
        return None, _plain(error, spec)


def _matrix_rates(found: Sequence[Found], spec: BenchSpec, talk: Talk) -> dict[tuple[str, str], float]:
    """Return the rate of a matrix product at each device and precision that a row ran in."""
    kinds = sorted({(one.device, one.executed_precision) for _, one in found if isinstance(one, Measurement)})
    if not kinds:
        return {}
    talk(f"multiplying large matrices: {', '.join(' '.join(kind) for kind in kinds)}")
    try:
        return in_own_process(rate_matrices, kinds, spec.threads)
    except PurecertError as error:
        talk(f"no rate of matrix products: {error}")
        return {}


def _judged(found: Sequence[Found], by: Yardstick, reference: Reference) -> tuple[MeasuredRow | UnusableRow, ...]:
    measured = [judge(row, one, by) for row, one in found if isinstance(one, Measurement)]
    # On a CPU the faster layout is the baseline; on a GPU TF32 and FP32 are two.
    variants = _variants(reference)
    groups = [variants] if variants == CPU_VARIANTS else [(variant,) for variant in variants]
    rows = {row.row: row for row in with_ratios(measured, groups)}
    return tuple(UnusableRow(row=row, reason=one) if isinstance(one, str) else rows[row] for row, one in found)


def describe_machine(threads: int, accelerator: str | None) -> BenchMachine:
    """Return what computes here, for a record; ``accelerator`` is the GPU's name where one is used."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return BenchMachine(
        cpu=describe_cpu(),
        processors=available_threads(),
        threads=threads,
        accelerator=accelerator,
        versions=versions,
    )
