"""The parts of a run beside its network, each alone and as often as a run of so many images does it."""

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import final

import numpy as np
from certifying.engine_side import HOST
from certifying.work import Work
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, BackendInfo, BackendOptions, Segment
from purecert.engine.backends.host import add_votes
from purecert.engine.backends.opening import open_backend
from purecert.engine.backends.packing import Piece
from purecert.engine.bench.agreement import SEED
from purecert.engine.images.datasets import Dataset, load_dataset
from purecert.engine.noise.contract import ESTIMATE
from purecert.engine.noise.inputs import noise_of_inputs
from purecert.engine.plans.plan import Plan, read_plan
from purecert.engine.procedures.certify import certify
from purecert.engine.records.ledger import opened_run
from purecert.engine.records.lines import Line, sparse_counts
from purecert.engine.records.run_record import make_record
from purecert.engine.running.scheduler import Finished, Job, Scheduler

_WARM_UPS, _REPEATS = 20, 300  # of what every batch needs


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """Seconds of each part for all images; the host's parts overlap with the worker's in a run."""

    noise: float
    graph_call: float  # of the constant graph: what calling the runtime costs
    votes: float
    scheduler: float  # with the procedures and their bounds
    ledger: float  # with an fsync for each image


def time_parts(constant: Path, work: Work, images: int, folder: Path) -> Parts:
    """Return the seconds of each part of ``work``'s certificates, run on the plan ``constant`` by ONNX Runtime.

    Raises:
        PurecertError: The backend is missing or cannot run the plan.
    """
    from purecert.engine.backends.onnxruntime.cpu import OrtGraph

    plan, data = read_plan(constant), load_dataset(work.data, work.data_dir)
    batches = images * work.rows_per_image / work.batch
    graph = OrtGraph(plan, work.spec.sigma, work.batch, work.threads)
    graph_call = batches * _seconds(graph.labels)
    graph.close()
    options = BackendOptions(name=HOST, batch=work.batch, threads=work.threads, probe_rows=work.probe_rows)
    with closing(open_backend(plan, work.spec.sigma, SEED, options, data.images, data.indices)) as backend:
        scheduler, ends = _schedule(_Instant(backend, plan.record.classes), data, work)
        return Parts(
            noise=batches * _seconds(_noise(plan, data, work)),
            graph_call=graph_call,
            votes=batches * _seconds(_votes(plan, work)),
            scheduler=scheduler,
            ledger=_ledger(plan, data, work, backend.info, ends, folder),
        )


@final
class _Instant(Backend):
    """A backend that counts every row as class 0 at once; of the other one it has what the scheduler sees."""

    def __init__(self, like: Backend, classes: int) -> None:
        self._like, self._classes = like, classes

    @property
    def info(self) -> BackendInfo:
        return self._like.info

    @property
    def slots(self) -> int:
        return self._like.slots

    @property
    def capacity(self) -> int:
        return self._like.capacity

    def place(self, slot: int, image_index: int, pixels: NDArray[np.uint8]) -> None:
        pass

    def submit(self, segments: Sequence[Segment]) -> Future[NDArray[np.int64]]:
        counts = np.zeros((len(segments), self._classes + 1), np.int64)
        counts[:, 0] = [segment.count for segment in segments]
        done: Future[NDArray[np.int64]] = Future()
        done.set_result(counts)
        return done

    def close(self) -> None:
        pass


def _schedule(backend: Backend, data: Dataset, work: Work) -> tuple[float, list[Finished]]:
    jobs = (
        Job(image_index=int(index), pixels=pixels, procedure=certify(work.spec, tv=0.0))
        for index, pixels in zip(data.indices, data.images, strict=True)
    )
    began = perf_counter()
    ends = list(Scheduler(backend).run(jobs))
    return perf_counter() - began, ends


def _ledger(plan: Plan, data: Dataset, work: Work, info: BackendInfo, ends: Sequence[Finished], folder: Path) -> float:
    record = make_record(plan, data, work.spec, info, seed=SEED, seed_given=True)
    rows = [
        Line(
            index=end.job.image_index,
            label=None,
            outcome=end.outcome,
            counts=tuple(map(sparse_counts, end.counts.values())),
        )
        for end in ends
    ]
    with tempfile.TemporaryDirectory(dir=folder) as place, opened_run(Path(place) / "run") as ledger:
        ledger.begin(record, {})
        began = perf_counter()
        for row in rows:
            ledger.append(row, 0.0)
        return perf_counter() - began


def _noise(plan: Plan, data: Dataset, work: Work) -> Callable[[], None]:
    """Return what draws one batch of the first image, another one each time."""
    inputs = plan.record.inputs
    noise = noise_of_inputs(len(inputs), work.spec.sigma, SEED, work.threads)
    rows = [np.empty((work.batch, *entry.shape), np.dtype(entry.dtype)) for entry in inputs]
    numbers = count(0, work.batch)

    def draw() -> None:
        addresses = np.array([[0, int(data.indices[0]), ESTIMATE, next(numbers), work.batch]], np.int64)
        for source, out in zip(noise, rows, strict=True):
            source.fill(out, addresses, data.images)

    return draw


def _votes(plan: Plan, work: Work) -> Callable[[], None]:
    counts = np.zeros((1, plan.record.classes + 1), np.int64)
    labels, pieces = np.zeros(work.batch, np.int32), [Piece(0, 0, ESTIMATE, 0, work.batch, 0)]
    return lambda: add_votes(counts, pieces, labels)


def _seconds(call: Callable[[], object]) -> float:
    """Return the median time of a call."""
    times = []
    for _ in range(_WARM_UPS + _REPEATS):
        began = perf_counter()
        call()
        times.append(perf_counter() - began)
    return median(times[_WARM_UPS:])
