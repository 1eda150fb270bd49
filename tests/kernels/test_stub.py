"""The committed stub is what the built module says of itself."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

_STUB = Path(__file__).parents[2] / "src" / "purecert" / "_kernels.pyi"


def test_the_stub_is_the_one_that_nanobind_makes(kernels: ModuleType, tmp_path: Path) -> None:
    fresh = tmp_path / "_kernels.pyi"
    command = [sys.executable, "-m", "nanobind.stubgen", "-q", "-m", kernels.__name__, "-o", str(fresh)]
    subprocess.run(command, check=True)
    assert _STUB.read_text() == fresh.read_text(), (
        "run: python -m nanobind.stubgen -m purecert._kernels -o src/purecert/_kernels.pyi"
    )
