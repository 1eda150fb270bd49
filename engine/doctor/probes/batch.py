"""One batch through a backend as certification runs it: opened, row-checked, noise drawn, votes counted."""

from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, BackendOptions, Segment
from purecert.engine.backends.opening import open_backend
from purecert.engine.doctor.probes import small_plan
from purecert.engine.doctor.probes.votes import REPORT, count, counted, what_ran
from purecert.engine.errors import UnusableError
from purecert.engine.plans.plan import Plan, read_plan

_OWN_BATCH = 2  # a plan of a user's own may be a thousand times larger than the doctor's


def run_small(backend: str, folder: Path) -> str:
    """Run a batch of the doctor's own plan, written into ``folder``; return what computed it.

    Raises:
        UnusableError: It counts other votes than there are.
        PurecertError: It cannot be opened or run.
    """
    plan = small_plan.write_small_plan(folder / "plan")
    # The only cached files are those that this process makes.
    options = BackendOptions(name=backend, batch=small_plan.BATCH, probe_rows=small_plan.BATCH, trust=True)
    with closing(_open(plan, options, small_plan.IMAGES)) as opened:
        return counted(opened)


def run_own(backend: str, directory: Path) -> str:
    """Run a batch of two rows of the plan in ``directory``; return what computed it.

    Raises:
        UnusableError: It counts other than two votes.
        PurecertError: It cannot be opened or run.
    """
    plan = read_plan(directory)
    shape = plan.record.inputs[0].shape
    grey = np.full((1, *shape), 128, np.uint8)
    options = BackendOptions(name=backend, batch=_OWN_BATCH, probe_rows=_OWN_BATCH)
    with closing(_open(plan, options, grey)) as opened:
        votes = count(opened, grey, [Segment(0, 0, 0, _OWN_BATCH)])
        if votes.sum() != _OWN_BATCH:
            raise UnusableError(f"it counts {votes.sum()} votes of {_OWN_BATCH} rows", REPORT)
        return what_ran(opened)


def run_uncompiled(backend: str, folder: Path) -> str:
    """Run a batch in PyTorch without an exported or compiled program, which take long to make; as ``run_small``."""
    from purecert.engine.doctor.probes import torch_network

    if backend == "torch":
        return torch_network.run_eager(folder)
    return torch_network.run_loop(backend, folder)


def _open(plan: Plan, options: BackendOptions, images: NDArray[np.uint8]) -> Backend:
    sigma = plan.record.graphs[0].sigma
    return open_backend(plan, sigma, small_plan.SEED, options, images, np.arange(len(images)))
