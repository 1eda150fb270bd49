"""Short ways to run the real engine on images made by a test."""

from collections.abc import Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.noise.inputs import total_variation
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.choosing import procedure_for
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.running.scheduler import Finished, Job, Scheduler


def certify_images(
    plan: Plan,
    images: NDArray[np.uint8],
    spec: SmoothingSpec,
    *,
    seed: int,
    batch: int = 256,
    order: Sequence[int] | None = None,
    backend: str = "onnxruntime",
) -> list[Finished]:
    """Return each image's end, in the order of ``images``, whatever ``order`` they were run in."""
    options = BackendOptions(name=backend, batch=batch, threads=1)
    elements = [graph_input.elements for graph_input in plan.record.inputs]
    tv = total_variation(elements, spec.sigma)
    positions = range(len(images)) if order is None else order
    opened = open_backend(plan, spec.sigma, seed, options, images, np.arange(len(images)))
    with closing(opened):
        jobs = [
            Job(image_index=position, pixels=images[position], procedure=procedure_for(spec, tv))
            for position in positions
        ]
        ends = {finished.job.image_index: finished for finished in Scheduler(opened).run(jobs)}
    return [ends[position] for position in range(len(images))]
