"""ONNX Runtime on the CPU."""

from purecert.engine.doctor.diagnosis import Trial
from purecert.engine.doctor.machine import Machine
from purecert.engine.doctor.requirements import require_module
from purecert.engine.doctor.trying import try_batch


def examine(machine: Machine, trial: Trial) -> str:
    """Return what ran a batch in ONNX Runtime's CPU provider."""
    require_module(machine, "onnxruntime", "ONNX Runtime", "pip install 'purecert[cpu]'")
    package = machine.packages.onnxruntime_files or "onnxruntime"
    remedy = f"pip install --force-reinstall {package}"
    return try_batch(machine, trial, "onnxruntime", remedy, on_own_plan=True)
