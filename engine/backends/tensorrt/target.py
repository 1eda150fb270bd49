"""The GPU that an engine is built for."""

import re
from dataclasses import dataclass

from purecert.engine.backends.device.gpu_driver import capability_of, load_driver
from purecert.engine.errors import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A GPU, or every GPU of one compute capability.

    Raises:
        InputError: The compute capability is not written like ``sm_89``.
    """

    gpu: str  # its name, e.g. "NVIDIA H200"
    capability: str  # e.g. "sm_90"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"sm_[1-9][0-9]{1,2}", self.capability):
            raise InputError(f"expected a compute capability such as sm_89, got {self.capability!r}")


def any_gpu(capability: str) -> Target:
    """Return the target of every GPU of ``capability``, such as ``sm_89``."""
    return Target(gpu=f"any {capability}", capability=capability)


def this_gpu() -> Target:
    """Return the first GPU that CUDA_VISIBLE_DEVICES leaves.

    Raises:
        BackendError: pycuda is missing, or it finds no driver or no GPU.
    """
    device = load_driver().Device(0)
    return Target(gpu=str(device.name()), capability=capability_of(device))
