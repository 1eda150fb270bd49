"""Runs on a small plane whose every draw is cheap, and ``engine-verify`` in this process."""

import os
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from purecert.engine.backends.base import BackendOptions
from purecert.engine.commands.verify import verify_command
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import read_plan
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.run import Run
from purecert.engine.running.progress import SilentProgress
from purecert.engine.running.run import RunRequest, execute
from support.commands import Ended
from support.plans import linear_plan

IMAGES = 24


def plane_and_images(directory: Path) -> tuple[Path, str]:
    """Write a plan whose classes part along a plane, and images on both sides of it; return it and the data's name."""
    linear_plan(directory / "plan", np.array([3, -1, 2, 1], np.float32), 500.0, (1, 2, 2))
    images = np.random.default_rng(2).integers(0, 256, (IMAGES, 1, 2, 2), np.uint8)
    labels = (images.reshape(IMAGES, -1) @ np.array([3, -1, 2, 1]) > 500).astype(np.int64)
    np.savez(directory / "images.npz", x=images, y=labels)
    return directory / "plan", f"npz:{directory / 'images.npz'}"


def certified_run(
    plan: Path, data: str, output: Path, spec: SmoothingSpec, *, backend: str = "onnxruntime", seed: int | None = None
) -> Run:
    """Return a run of every image of ``data``."""
    request = RunRequest(
        plan=read_plan(plan),
        dataset=load_dataset(data),
        spec=spec,
        backend=BackendOptions(name=backend, batch=128, threads=1, probe_rows=128),
        output=output,
        seed=seed,
        invocation={"plan": os.fspath(plan), "data": data, "data_dir": None},
    )
    return execute(request, SilentProgress())


def verify(run: Path, *arguments: str | Path) -> Ended:
    """Run ``engine-verify RUN arguments`` in this process."""
    result = CliRunner().invoke(verify_command, [os.fspath(run), *map(os.fspath, arguments)])
    if not isinstance(result.exception, SystemExit | None):
        raise result.exception
    return Ended(code=result.exit_code, out=result.stdout, err=result.stderr)
