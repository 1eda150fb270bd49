"""What a diagnosis looks at: one machine, as plain facts, so that a test can hand in another."""

from dataclasses import dataclass

from purecert.engine.errors import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Processor:
    """The host's processor; ``flags`` is None where the system does not list what it can do."""

    architecture: str  # as ``platform.machine()`` names it
    model: str
    flags: frozenset[str] | None

    def has(self, flag: str) -> bool | None:
        """Return whether the processor has ``flag`` (e.g. "avx2"), or None where the system does not say."""
        return None if self.flags is None else flag in self.flags


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """A GPU that the driver shows to this process."""

    name: str
    capability: tuple[int, int]  # compute capability, e.g. (9, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Driver:
    """NVIDIA's driver and what it offers; a driver without a GPU is a ``Problem`` instead."""

    version: str | None  # as NVML names it; None where NVML is not there
    cuda: tuple[int, int]  # the newest CUDA that it runs
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Native:
    """purecert's own native modules."""

    kernels: Problem | None  # what is wrong with purecert._kernels, which draws the noise
    cuda_architectures: tuple[int, ...] | Problem  # what purecert._cuda was built for, e.g. (80, 90)


@dataclass(frozen=True, kw_only=True, slots=True)
class Packages:
    """What is installed, read without importing any of it."""

    versions: dict[str, str]  # distribution -> version, of those that matter here
    modules: frozenset[str]  # the runtimes' modules that can be found
    onnxruntimes: tuple[str, ...]  # distributions of ONNX Runtime in the folder that Python imports it from
    onnxruntime_files: str | None  # distribution whose files lie in the module onnxruntime
    onnxruntime_cuda: str | None  # CUDA that these were built for, e.g. "13.0"; None without CUDA
    torch_cuda: str | None  # as onnxruntime_cuda


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Everything that decides which backends can run."""

    purecert: str
    python: str
    system: str
    processor: Processor
    packages: Packages
    native: Native
    driver: Driver | Problem
    compiler: str | Problem  # the C++ compiler that PyTorch would call, after it compiled a file
