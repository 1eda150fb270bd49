"""ONNX Runtime, on the CPU and on a GPU, there by its CUDA provider or by its TensorRT provider."""

from purecert.engine.doctor.diagnosis import Trial, try_batch
from purecert.engine.doctor.machine import Machine
from purecert.engine.doctor.packages import ONNXRUNTIMES
from purecert.engine.doctor.requirements import require_cuda, require_gpu, require_kernels, require_module
from purecert.engine.errors import Problem, UnusableError

_GPU_PACKAGE = "onnxruntime-gpu"
_INSTALL = "pip install 'purecert[gpu-ort]'"


def examine_cpu(machine: Machine, trial: Trial) -> str:
    """Return what ran a batch in ONNX Runtime's CPU provider."""
    require_module(machine, "onnxruntime", "ONNX Runtime", "pip install 'purecert[cpu]'")
    package = machine.packages.onnxruntime_files or "onnxruntime"
    remedy = f"pip install --force-reinstall {package}"
    return try_batch(machine, trial, "onnxruntime", remedy, on_own_plan=True)


def examine_cuda(machine: Machine, trial: Trial) -> str:
    """Return what ran a batch in the CUDA provider."""
    _require_runtime(machine)
    remedy = f"install the CUDA libraries that it loads: pip install '{_GPU_PACKAGE}[cuda,cudnn]'"
    return try_batch(machine, trial, "onnxruntime-cuda", remedy, on_own_plan=True)


def examine_tensorrt(machine: Machine, trial: Trial) -> str:
    """Return what ran a batch of the doctor's plan in the TensorRT provider, which builds an engine of it."""
    _require_runtime(machine)
    remedy = "install the libraries that it loads, those of TensorRT 10: pip install 'purecert[gpu-ort-tensorrt]'"
    return try_batch(machine, trial, "onnxruntime-tensorrt", remedy)


def choose_one(machine: Machine) -> str:
    """Return the command that leaves one ONNX Runtime: the GPU's where there is a GPU to use."""
    held = [name for name in ONNXRUNTIMES if name in machine.packages.versions]
    kept = "cpu" if isinstance(machine.driver, Problem) else "gpu-ort"
    return f"pip uninstall -y {' '.join(held)} && pip install 'purecert[{kept}]'"


def _require_runtime(machine: Machine) -> None:
    driver, gpu = require_gpu(machine)
    packages = machine.packages
    require_module(machine, "onnxruntime", "ONNX Runtime for GPUs", _INSTALL)
    if packages.onnxruntime_files not in (None, _GPU_PACKAGE):  # None: a build of the user's own
        also = " though onnxruntime-gpu is installed too" if _GPU_PACKAGE in packages.versions else ""
        raise UnusableError(
            f"the module onnxruntime holds the files of {packages.onnxruntime_files}, which has no GPU{also}",
            choose_one(machine),
        )
    if packages.onnxruntime_cuda is not None:
        require_cuda(driver, _GPU_PACKAGE, packages.onnxruntime_cuda)
    require_kernels(machine, gpu)
