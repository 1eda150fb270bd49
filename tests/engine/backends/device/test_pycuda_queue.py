"""Memory, copies, events and captures through pycuda, on the fake driver of ``support/fake_cuda``."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.fake_cuda.cases import needs_pycuda, run_cases

pytestmark = pytest.mark.slow


@needs_pycuda
def test_the_queue_works_on_the_fake_driver(fake_cuda_library: Path, tmp_path: Path) -> None:
    run_cases(Path(__file__).with_name("pycuda_queue_cases.py"), fake_cuda_library, tmp_path / "report.xml")


@needs_pycuda
def test_without_a_driver_the_reason_is_said() -> None:
    program = (
        "from purecert.engine.backends.device.pycuda_queue import PycudaQueue\n"
        "from purecert.engine.errors import BackendError\n"
        "try:\n"
        "    PycudaQueue()\n"
        "except BackendError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("expected the driver of a GPU, found none") or "expected a GPU" in done.stdout
