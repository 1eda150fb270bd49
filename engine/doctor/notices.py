"""What is not right with a machine though it may stop no backend."""

from purecert.engine.doctor.backends.onnxruntime import choose_one
from purecert.engine.doctor.diagnosis import PASS_PROCESSOR_THROUGH
from purecert.engine.doctor.machine import Machine
from purecert.engine.doctor.probes.native import REINSTALL_CUDA
from purecert.engine.doctor.requirements import kernel_for
from purecert.engine.errors import Problem

_X86 = ("x86_64", "AMD64")


def notices(machine: Machine) -> list[Problem]:
    """Return what to tell beside the backends, each with what to do about it."""
    found = (_two_runtimes(machine), _no_native(machine), _no_avx2(machine), _two_cudas(machine), _only_ptx(machine))
    return [notice for notice in found if notice is not None]


def _two_runtimes(machine: Machine) -> Problem | None:
    packages = machine.packages
    if len(packages.onnxruntimes) < 2:
        return None
    held = [f"{name} {packages.versions[name]}" for name in packages.onnxruntimes]
    reason = f"{' and '.join(held)} are both installed; they overwrite each other's files in the module onnxruntime"
    return Problem(reason=reason, remedy=choose_one(machine))


def _no_native(machine: Machine) -> Problem | None:
    problem = machine.native.kernels
    if problem is None:
        return None
    instead = (
        "PyTorch draws the noise in its place: the same values, but slower"
        if "torch" in machine.packages.modules
        else "nothing can draw noise, since PyTorch is not installed either"
    )
    return Problem(reason=f"{problem.reason}; {instead}", remedy=problem.remedy)


def _no_avx2(machine: Machine) -> Problem | None:
    if machine.processor.architecture not in _X86 or machine.processor.has("avx2") is not False:
        return None
    reason = "this processor has no AVX2, for which ONNX Runtime and PyTorch have their fast kernels"
    return Problem(reason=reason, remedy=PASS_PROCESSOR_THROUGH)


def _two_cudas(machine: Machine) -> Problem | None:
    runtime, torch = machine.packages.onnxruntime_cuda, machine.packages.torch_cuda
    if runtime is None or torch is None or runtime.split(".")[0] == torch.split(".")[0]:
        return None
    return Problem(
        reason=f"ONNX Runtime is built for CUDA {runtime} and PyTorch for CUDA {torch}: they cannot share libraries",
        remedy="give ONNX Runtime its own: pip install 'onnxruntime-gpu[cuda,cudnn]'",
    )


def _only_ptx(machine: Machine) -> Problem | None:
    built = machine.native.cuda_architectures
    if isinstance(machine.driver, Problem) or isinstance(built, Problem):
        return None
    gpu = machine.driver.gpus[0]
    kernel = kernel_for(gpu, built)
    if kernel is None or not kernel.startswith("PTX"):
        return None
    return Problem(reason=f"for {gpu.name} the CUDA kernels are only there as {kernel}", remedy=REINSTALL_CUDA)
