"""The field's side: CERTIFY of Cohen et al. (2019) over the eager loop, batch after batch, image after image."""

from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from certifying.work import Certified, Work
from numpy.typing import NDArray

from purecert.engine.bench.measure import Task
from purecert.engine.bench.process import peak_memory
from purecert.engine.images.datasets import load_dataset
from purecert.engine.procedures.certify import certify
from purecert.engine.procedures.outcomes import Outcome
from purecert.export.bench.spec import Variant

if TYPE_CHECKING:
    from torch import Tensor

    from purecert.export.bench.eager_loop import EagerModel

Counts = NDArray[np.int64]


def certify_by_field(task: Task, model: str, variant: Variant, work: Work, seed: int) -> Certified:
    """Return what the eager loop takes for ``work`` with the model file ``model``.

    The loop is ``draw_votes`` of ``export/bench/eager_loop.py``; the bound is ours, since it takes no time.

    Raises:
        PurecertError: Model or data cannot be read, or memory ran out.
    """
    began = perf_counter()
    import torch

    from purecert.export.bench.eager_loop import EagerModel, eager_precision

    torch.manual_seed(seed)
    data, eager = load_dataset(work.data, work.data_dir), EagerModel(task, model, variant)
    loop_began = perf_counter()
    ends = [_certify(eager, eager.image(pixels), work) for pixels in data.images]
    ended = perf_counter()
    return Certified(
        seconds=ended - began,
        loop_seconds=ended - loop_began,
        memory_peak=peak_memory(),
        executed_precision=eager_precision(variant),
        selected=np.stack([counts[0] for _, counts in ends]),
        votes=np.stack([counts[1] for _, counts in ends]),
        outcomes=tuple(outcome for outcome, _ in ends),
    )


def _certify(eager: "EagerModel", image: "Tensor", work: Work) -> tuple[Outcome, list[Counts]]:
    """Return one image's end, and its counts of both phases."""
    procedure, answers = certify(work.spec, tv=0.0), list[Counts]()  # floating-point noise has no budget to take off
    asked = next(procedure)
    while True:
        answers.append(_sample(eager, image, asked.count, work.batch))
        try:
            asked = procedure.send(answers[-1])
        except StopIteration as end:
            return end.value, answers


def _sample(eager: "EagerModel", image: "Tensor", rows: int, batch: int) -> Counts:
    """Return the counts [classes + 1] of ``rows`` draws, of which the last batch holds what is left."""
    counts = sum(eager.votes(image, min(batch, rows - first)) for first in range(0, rows, batch))
    return np.append(counts, 0)  # argmax always finds a class: no row is invalid
