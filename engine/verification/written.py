"""What can be checked of a run without any draw: its record against plan and data, its lines against their counts."""

from collections.abc import Iterator
from dataclasses import fields, replace

from purecert.engine.errors import PurecertError
from purecert.engine.images.datasets import Dataset
from purecert.engine.plans.plan import Plan
from purecert.engine.records.growing import are_the_first_of
from purecert.engine.records.line_checks import line_problems
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import RunRecord, make_record
from purecert.engine.statistics.table_making import is_made_alike, make_table


def written_problems(run: Run, plan: Plan, dataset: Dataset) -> list[str]:
    """Return what is wrong with the record, or else with the lines, a line each."""
    return list(_record_problems(run, plan, dataset)) or [*_table_problems(run), *_line_problems(run, dataset)]


def _table_problems(run: Run) -> Iterator[str]:
    """Yield that a stopping table is not what the programme makes for its price; none that was kept is asked.

    However seldom a table errs, one that was chosen after the draws may certify anything of them.
    """
    for table in run.record.spec.tables:
        try:
            made = make_table(table.threshold, table.n, table.alpha, table.price)
        except PurecertError as error:
            yield f"run.json: no stopping table of {table.threshold!r} can be made ({error})"
            continue
        if not is_made_alike(table, made):
            yield (
                f"run.json: the stopping table of {table.threshold!r} is not the one that is made for its n, alpha and "
                "price, so it may have been chosen after the draws"
            )


def _record_problems(run: Run, plan: Plan, dataset: Dataset) -> Iterator[str]:
    """Yield how run.json differs from what plan and data make it; the engine and the seed are taken from it."""
    record = run.record
    made = make_record(plan, dataset, record.spec, record.backend, seed=record.seed, seed_given=record.seed_given)
    if record.data.slice is None:  # of a version that did not record it
        made = replace(made, data=replace(made.data, slice=None))
    for earlier in record.data.earlier:
        if not are_the_first_of(earlier, dataset):
            yield f"run.json states that the run had the images {earlier} before; the data's first ones are others"
    made = replace(made, data=replace(made.data, earlier=record.data.earlier))
    expected = replace(made, purecert=record.purecert)
    if record.placement_problem is not None:
        yield f"run.json: {record.placement_problem}, so its bounds do not hold"
    for field in fields(RunRecord):
        found, right = getattr(record, field.name), getattr(expected, field.name)
        if found != right:
            yield f"run.json states {field.name} = {found}, plan and data make it {right}"


def _line_problems(run: Run, dataset: Dataset) -> Iterator[str]:
    if len(run.lines) != len(dataset):
        yield f"incomplete: {len(run.lines)} of {len(dataset)} images; finish it with --resume"
        return
    for position, (line, index) in enumerate(zip(run.lines, dataset.indices, strict=True)):
        if line.index != index or line.label != dataset.label(position):
            yield f"image {line.index} with label {line.label}: expected image {index} with the data's label"
    yield from line_problems(run.record, run.lines)
