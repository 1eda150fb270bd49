"""Which kernel runs on which GPU, by the rules of CUDA's binary and PTX compatibility."""

from dataclasses import replace

import pytest

from purecert.engine.doctor.diagnosis import Trial
from purecert.engine.doctor.examination import diagnose_all
from purecert.engine.doctor.machine import Gpu, Machine
from purecert.engine.doctor.notices import notices
from purecert.engine.doctor.requirements import kernel_for
from purecert.engine.errors import Problem
from support.machines import ADA, DRIVER, HEALTHY

_BUILT = (80, 86, 89, 90, 100, 120)


@pytest.mark.parametrize(
    ("capability", "kernel"),
    [
        ((7, 5), None),  # older than anything built
        ((8, 0), "machine code for 80"),
        ((8, 7), "machine code for 86"),  # the same major version, a minor one that is not newer
        ((8, 9), "machine code for 89"),
        ((9, 0), "machine code for 90"),
        ((10, 3), "machine code for 100"),
        ((11, 0), "PTX for 80, which the driver compiles at the first use"),  # machine code is for one major version
        ((12, 1), "machine code for 120"),
        ((13, 0), "PTX for 120, which the driver compiles at the first use"),
    ],
)
def test_a_kernel_is_chosen_as_the_driver_chooses(capability: tuple[int, int], kernel: str | None) -> None:
    assert kernel_for(Gpu(name="a GPU", capability=capability), _BUILT) == kernel


def _with_gpu(capability: tuple[int, int]) -> Machine:
    return replace(HEALTHY, driver=replace(DRIVER, gpus=(replace(ADA, capability=capability),)))


def test_missing_kernels_stop_a_gpu_backend_and_say_how_to_build_them() -> None:
    missing = Problem(reason="the CUDA kernels purecert._cuda are missing (No module)", remedy="PURECERT_CUDA=on pip")
    machine = replace(HEALTHY, native=replace(HEALTHY.native, cuda_architectures=missing))
    for diagnosis in diagnose_all(["tensorrt", "torch-cuda", "onnxruntime-cuda"], machine, Trial(seconds=60)):
        assert (diagnosis.usable, diagnosis.reason, diagnosis.remedy) == (False, missing.reason, missing.remedy)


def test_a_gpu_older_than_the_kernels_is_refused_by_name() -> None:
    (diagnosis,) = diagnose_all(["tensorrt"], _with_gpu((7, 5)), Trial(seconds=60))
    assert "NVIDIA L4 has compute capability 7.5, and the CUDA kernels are built for 8.0" in diagnosis.reason


def test_a_newer_gpu_is_told_that_its_kernels_are_compiled_at_first_use() -> None:
    (notice,) = notices(_with_gpu((13, 0)))
    assert "only there as PTX for 120" in notice.reason
    assert "PURECERT_CUDA=on pip install" in notice.remedy
    assert notices(HEALTHY) == []
