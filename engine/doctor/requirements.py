"""What several backends need, each asked for in one way."""

import re

from purecert.engine.doctor.machine import Driver, Gpu, Machine
from purecert.engine.errors import Problem, UnusableError

_OLD_DRIVER = (
    "install a newer NVIDIA driver (Ubuntu: sudo ubuntu-drivers install; Debian: sudo apt install nvidia-driver) until "
    "nvidia-smi shows CUDA {needed}, or {package} built for CUDA {offered}"
)


def require_module(machine: Machine, module: str, name: str, remedy: str) -> None:
    """Go on if the Python ``module`` of what users know as ``name`` is installed."""
    if module not in machine.packages.modules:
        raise UnusableError(f"{name} is not installed", remedy)


def require_gpu(machine: Machine) -> tuple[Driver, Gpu]:
    """Return the driver and the GPU that backends take, the first one."""
    if isinstance(machine.driver, Problem):
        raise UnusableError(machine.driver.reason, machine.driver.remedy)
    return machine.driver, machine.driver.gpus[0]


def require_cuda(driver: Driver, package: str, built_for: str) -> None:
    """Go on if ``driver`` runs what ``package`` was built for, a CUDA version such as "13.0" or "13".

    A driver runs every CUDA of its major version and of older ones.
    """
    needed, offered = int(built_for.split(".")[0]), driver.cuda[0]
    if offered < needed:
        own = f"{driver.version} " if driver.version else ""
        raise UnusableError(
            f"the NVIDIA driver {own}runs CUDA {offered}.{driver.cuda[1]} at most, and {package} is built for CUDA "
            f"{built_for}: driver too old",
            _OLD_DRIVER.format(needed=needed, package=package, offered=offered),
        )


def require_kernels(machine: Machine, gpu: Gpu) -> None:
    """Go on if purecert has kernels that run on ``gpu``."""
    if machine.native.kernels is not None:
        raise UnusableError(machine.native.kernels.reason, machine.native.kernels.remedy)
    built = machine.native.cuda_architectures
    if isinstance(built, Problem):
        raise UnusableError(built.reason, built.remedy)
    if kernel_for(gpu, built) is None:
        raise UnusableError(
            f"{gpu.name} has compute capability {_dotted(gpu.capability)}, and the CUDA kernels are built for "
            f"{_dotted(divmod(min(built), 10))} and newer",
            "choose a newer GPU (CUDA_VISIBLE_DEVICES names it), or a backend of the host",
        )


def kernel_for(gpu: Gpu, built: tuple[int, ...]) -> str | None:
    """Return which of the kernels ``built`` runs on ``gpu``, or None.

    Machine code runs on its own major version from its own minor version on; the oldest and the newest are there as
    PTX too (kernels/cuda_module.cmake), which the driver compiles for anything newer.
    """
    major, minor = gpu.capability
    own = [number for number in built if number // 10 == major and number % 10 <= minor]
    if own:
        return f"machine code for {max(own)}"
    older = [number for number in (min(built), max(built)) if number <= 10 * major + minor]
    return f"PTX for {max(older)}, which the driver compiles at the first use" if older else None


def cuda_of_distributions(machine: Machine, pattern: str) -> str | None:
    """Return the CUDA major version in the name of the first distribution like ``pattern``, which has one group."""
    for name in machine.packages.versions:
        if found := re.fullmatch(pattern, name):
            return found[1]
    return None


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
