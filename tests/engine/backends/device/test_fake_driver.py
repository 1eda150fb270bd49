"""The fake driver under the real pycuda: copies, order, faults and errors are those that CUDA documents."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.fake_cuda.cases import environment, needs_pycuda, run_cases

pytestmark = pytest.mark.slow

_INIT = "import ctypes; print(ctypes.CDLL('libcuda.so.1').cuInit(0))"


@needs_pycuda
@pytest.mark.parametrize("cases", ["fake_driver_cases.py", "fake_driver_fault_cases.py"])
def test_pycuda_works_on_the_fake_driver(fake_cuda_library: Path, tmp_path: Path, cases: str) -> None:
    run_cases(Path(__file__).with_name(cases), fake_cuda_library, tmp_path / "report.xml")


@needs_pycuda
def test_a_file_of_cases_with_a_failure_fails(fake_cuda_library: Path, tmp_path: Path) -> None:
    cases = tmp_path / "failing_cases.py"
    cases.write_text("def test_good() -> None: pass\ndef test_bad() -> None: assert 1 == 2\n")
    with pytest.raises(AssertionError, match="test_bad"):
        run_cases(cases, fake_cuda_library, tmp_path / "report.xml")


@pytest.mark.parametrize(("errors", "printed"), [("", "0"), ("cuInit:100", "100"), ("cuMemAlloc:2,cuInit:100", "100")])
def test_a_process_can_be_given_errors(fake_cuda_library: Path, errors: str, printed: str) -> None:
    given = environment(fake_cuda_library, FAKE_CUDA_ERRORS=errors)
    done = subprocess.run([sys.executable, "-c", _INIT], env=given, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == printed


def test_a_process_can_leave_a_report(fake_cuda_library: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    given = environment(fake_cuda_library, FAKE_CUDA_REPORT=str(report))
    subprocess.run([sys.executable, "-c", _INIT], env=given, capture_output=True, check=True)
    assert report.read_text() == "call cuInit flags=0 -> 0\n"
