"""The whole examination: machine, plan and every backend, at the same time where they do not wait for each other."""

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from purecert.engine.doctor.backends import onnxruntime, openvino, tensorrt, torch
from purecert.engine.doctor.diagnosis import Diagnosis, Examination, Trial, diagnose
from purecert.engine.doctor.facts import read_machine
from purecert.engine.doctor.machine import Machine
from purecert.engine.doctor.notices import notices
from purecert.engine.doctor.plan_check import PlanCheck, check_plan
from purecert.engine.errors import Problem

_SCHEMA = "purecert.doctor/1"

EXAMINATIONS: dict[str, Examination] = {
    "onnxruntime": onnxruntime.examine_cpu,
    "openvino": openvino.examine_openvino,
    "torch": torch.examine_eager,
    "torch-compiled": torch.examine_compiled,
    "torch-cuda": torch.examine_cuda,
    "tensorrt": tensorrt.examine_tensorrt,
    "tensorrt-rtx": tensorrt.examine_rtx,
    "onnxruntime-cuda": onnxruntime.examine_cuda,
    "onnxruntime-tensorrt": onnxruntime.examine_tensorrt,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What the doctor found."""

    machine: Machine
    backends: tuple[Diagnosis, ...]
    notices: tuple[Problem, ...]
    plan: PlanCheck | None
    seconds: float

    def to_json(self) -> str:
        """Return the report as one JSON object."""
        document = {"schema": _SCHEMA} | asdict(self)
        return json.dumps(document, indent=1, allow_nan=False, default=sorted)  # sets


def examine(names: Sequence[str], directory: Path | None, seconds: float) -> Report:
    """Return what this machine can run.

    Args:
        names: Backends, out of ``EXAMINATIONS``.
        directory: A plan to check and, where that is quick, to try the backends on; None for the doctor's own.
        seconds: After which what has not answered is given up.

    Raises:
        InputError: There is no such folder.
    """
    began = time.monotonic()
    plan = None if directory is None else check_plan(directory)
    machine = read_machine(seconds / 3)
    trial = Trial(
        seconds=max(seconds - (time.monotonic() - began), seconds / 3),
        plan=directory if plan is not None and plan.is_quick else None,
        stops={} if plan is None else plan.stops,
    )
    return Report(
        machine=machine,
        backends=diagnose_all(names, machine, trial),
        notices=tuple(notices(machine)),
        plan=plan,
        seconds=round(time.monotonic() - began, 2),
    )


def diagnose_all(names: Sequence[str], machine: Machine, trial: Trial) -> tuple[Diagnosis, ...]:
    """Return what each of the backends ``names`` can do on ``machine``."""
    with ThreadPoolExecutor(len(names)) as pool:
        return tuple(pool.map(lambda name: diagnose(name, EXAMINATIONS[name], machine, trial), names))
