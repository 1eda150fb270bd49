"""What nvcc makes of the kernels, on machines without a GPU: it compiles, keeps to registers, and imports."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[2]
_SOURCE = _ROOT / "kernels" / "src" / "batch_cuda.cu"
_ARCHITECTURES = (80, 86, 89, 90, 100, 120)  # of kernels/cuda_module.cmake
_KERNELS = 13  # two formats x (three layouts x staged or not), and the votes


@pytest.fixture(scope="module")
def nvcc(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the compiler that the build would take, or skip where it would take none."""
    homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    places = [f"{home}/bin" for home in homes] + [None, "/usr/local/cuda/bin"]  # None is PATH
    found = next(filter(None, (shutil.which("nvcc", path=place) for place in places)), None)
    if found is None:
        pytest.skip("nvcc is not installed, so the CUDA kernels are not compiled")
    trial = tmp_path_factory.mktemp("nvcc") / "trial.cu"
    trial.write_text("#include <cuda_runtime.h>\n#include <string>\n__global__ void trial() {}\n")
    command = [found, "-std=c++17", "-arch=compute_80", "--ptx", "-o", str(trial.with_suffix(".ptx")), str(trial)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip(f"{found} does not compile C++17 for compute capability 8.0, so the CUDA kernels are not compiled")
    return found


def _compile(nvcc: str, *options: str) -> str:
    command = [nvcc, "-O3", "-std=c++17", f"-I{_ROOT / 'kernels' / 'include'}", *options, str(_SOURCE)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


@pytest.mark.parametrize(
    "architectures", [_ARCHITECTURES[:1], pytest.param(_ARCHITECTURES, marks=pytest.mark.nightly)], ids=["least", "all"]
)
def test_no_kernel_spills_registers(nvcc: str, tmp_path: Path, architectures: tuple[int, ...]) -> None:
    """On any architecture that is built, as far as this compiler knows them."""
    known = subprocess.run([nvcc, "--list-gpu-code"], check=True, capture_output=True, text=True).stdout.split()
    built = [number for number in architectures if f"sm_{number}" in known]
    targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in built]
    report = _compile(nvcc, "-Xptxas", "-v", "--threads", "0", *targets, "-c", "-o", str(tmp_path / "kernels.o"))
    spills = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report)
    assert len(spills) == _KERNELS * len(built) > 0, report
    assert set(spills) == {("0", "0", "0")}, report


def test_the_kernels_compute_in_integers_and_store_16_bytes(nvcc: str, tmp_path: Path) -> None:
    _compile(nvcc, "-arch=compute_80", "--ptx", "-o", str(tmp_path / "kernels.ptx"))
    ptx = (tmp_path / "kernels.ptx").read_text()
    kernels = re.findall(r"\.entry (\w+)\((.*?)\n}", ptx, re.DOTALL)
    assert len(kernels) == _KERNELS
    assert ".f64" not in ptx
    stores = {name: body for name, body in kernels if "fill_stores" in name}
    assert len(stores) == 8
    for name, body in stores.items():
        assert "st.global.v4" in body, name
        assert not re.search(r"st\.global\.(?!v4)", body), name
        # Template argument Lb1: the thresholds are staged, and what every draw looks up comes from shared memory.
        assert ("ld.shared" in body) == ("Lb1E" in name), name


def test_the_module_imports_without_a_driver() -> None:
    """In a process of its own; what needs a GPU then says so."""
    pytest.importorskip("purecert._cuda", reason="purecert was built without CUDA", exc_type=ImportError)
    program = (
        "import purecert._cuda as cuda\n"
        "assert cuda.NOISE_CONTRACT == 1 and cuda.architectures().split()[0].isdigit()\n"
        "votes = dict(map=0, labels=0, rows=0, classes=2, counts=0, stream=0)\n"
        "for call in (lambda: cuda.count_votes(**votes), lambda: cuda.begin_capture(0), lambda: cuda.end_capture(0)):\n"
        "    try:\n"
        "        call()\n"
        "    except RuntimeError as error:\n"
        "        print(error)\n"
    )
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=hidden)
    said = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert said == [
        "the vote kernel was not launched",
        "a CUDA graph cannot begin",
        "the work of a batch cannot be captured",
    ]
