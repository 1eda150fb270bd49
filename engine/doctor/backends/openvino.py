"""OpenVINO on the CPU."""

from purecert.engine.doctor.diagnosis import Trial, try_batch
from purecert.engine.doctor.machine import Machine
from purecert.engine.doctor.requirements import require_module

_INSTALL = "pip install 'purecert[openvino]'"


def examine_openvino(machine: Machine, trial: Trial) -> str:
    """Return what ran a batch in OpenVINO's CPU plugin."""
    require_module(machine, "openvino", "OpenVINO", _INSTALL)
    return try_batch(machine, trial, "openvino", "pip install --force-reinstall openvino", on_own_plan=True)
