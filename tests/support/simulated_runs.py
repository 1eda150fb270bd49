"""Run directories of every mode, of images whose labels are drawn from made-up laws: no plan and no graph is needed."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from purecert.engine.procedures.choosing import procedure_for
from purecert.engine.procedures.extending import extended
from purecert.engine.procedures.spec import ExtensionSpec, SmoothingSpec, StopSpec
from purecert.engine.procedures.tables.rule import with_tables
from purecert.engine.records.lines import Line, sparse_counts
from purecert.engine.records.run_record import RunRecord
from purecert.engine.running.scheduler import Job, Scheduler
from support.records import DATA, RUN, write_run
from support.simulated_graph import SimulatedGraph

CLASSES, IMAGES = 10, 6
_FIXED = SmoothingSpec(mode="certify", sigma=0.5, n_select=20, n_estimate=300, alpha=1e-3)
SPECS = {
    "fixed": _FIXED,
    "radii": replace(_FIXED, stop=StopSpec(rule="radii", radii=(0.0, 0.25, 0.5), alpha_final=5e-4)),
    "tables": with_tables(replace(_FIXED, stop=StopSpec(rule="radii", radii=(0.0, 0.25, 0.5))), RUN.tv),
    "tolerance": replace(_FIXED, stop=StopSpec(rule="tolerance", tolerance=0.2, alpha_final=5e-4)),
    "extended": extended(replace(_FIXED, extension=ExtensionSpec(n_first=300, n_last=600, alpha_first=4e-4))),
    "votes": replace(_FIXED, mode="predict"),
    "answer": replace(_FIXED, mode="predict", stop=StopSpec(rule="answer", least_chance=1e-3)),
}
# Of the right class: all draws, nearly all, a few too few, and none; the last image shows two classes alike.
_SHARES = (1.0, 0.97, 0.85, 0.7, 0.0, 0.5)


def record_of(name: str) -> RunRecord:
    """Return the record of the run ``name`` of ``SPECS``, with a mark that only its own word sets."""
    data = replace(DATA, images=IMAGES, classes=CLASSES)
    return replace(RUN, spec=SPECS[name], data=data, classes=CLASSES, seed=5, seed_given=True)


def write_simulated_run(directory: Path, name: str) -> Path:
    """Run ``SPECS[name]`` on six images and return the run's directory."""
    record = record_of(name)
    laws = np.zeros((IMAGES, CLASSES + 1))
    for image, share in enumerate(_SHARES):
        laws[image, image] = share
        laws[image, image + 1] = 1 - share
    graph = SimulatedGraph(laws, seed=5, batch=64)
    jobs = [
        Job(
            image_index=image,
            label=image,
            pixels=np.zeros((1, 8, 8), np.uint8),
            procedure=procedure_for(record.spec, record.tv, image),
        )
        for image in range(IMAGES)
    ]
    ends = Scheduler(graph).run(jobs)
    lines = [
        Line(
            index=end.job.image_index,
            label=end.job.label,
            outcome=end.outcome,
            counts=tuple(sparse_counts(end.counts[phase]) for phase in sorted(end.counts)),
            looks=end.looks,
        )
        for end in ends
    ]
    write_run(directory, lines, record)
    return directory
