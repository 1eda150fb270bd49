"""PyTorch: operator by operator, compiled for the host, and compiled for a GPU."""

from purecert.engine.doctor.diagnosis import Trial, try_batch
from purecert.engine.doctor.machine import Machine
from purecert.engine.doctor.probes.batch import run_uncompiled
from purecert.engine.doctor.requirements import require_cuda, require_gpu, require_kernels, require_module
from purecert.engine.errors import Problem, UnusableError

_INSTALL = "pip install 'purecert[export]'"
_REINSTALL = "pip install --force-reinstall torch"
_NOT_TRIED = "compiling, which takes longer, was not tried"


def examine_eager(machine: Machine, trial: Trial) -> str:
    """Return what ran a batch operator by operator."""
    require_module(machine, "torch", "PyTorch", _INSTALL)
    ran = try_batch(machine, trial, "torch", _REINSTALL, on_own_plan=True, run=run_uncompiled)
    return ran if trial.plan is not None else f"{ran}; loading a plan's program needs --plan to be tried"


def examine_compiled(machine: Machine, trial: Trial) -> str:
    """Return what ran a batch through the loop around compiled programs, and which compiler works."""
    require_module(machine, "torch", "PyTorch", _INSTALL)
    if machine.native.kernels is not None:
        raise UnusableError(machine.native.kernels.reason, machine.native.kernels.remedy)
    if isinstance(machine.compiler, Problem):
        raise UnusableError(machine.compiler.reason, machine.compiler.remedy)
    ran = try_batch(machine, trial, "torch-compiled", _REINSTALL, run=run_uncompiled)
    return f"{ran}, and {machine.compiler} compiles; {_NOT_TRIED}"


def examine_cuda(machine: Machine, trial: Trial) -> str:
    """Return what ran a batch through the loop around compiled programs on the GPU."""
    driver, gpu = require_gpu(machine)
    require_module(machine, "torch", "PyTorch", _INSTALL)
    version = machine.packages.versions.get("torch", "")
    if machine.packages.torch_cuda is None:
        raise UnusableError(
            f"PyTorch {version} is a build without CUDA",
            f"install its build for CUDA {driver.cuda[0]}: pip uninstall -y torch && pip install torch",
        )
    require_cuda(driver, "PyTorch", machine.packages.torch_cuda)
    require_kernels(machine, gpu)
    if isinstance(machine.compiler, Problem):
        raise UnusableError(machine.compiler.reason, machine.compiler.remedy)
    return f"{try_batch(machine, trial, 'torch-cuda', _REINSTALL, run=run_uncompiled)}; {_NOT_TRIED}"
