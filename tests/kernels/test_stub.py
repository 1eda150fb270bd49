"""Each committed stub is what the built module says of itself."""

import subprocess
import sys
from pathlib import Path

import pytest

_PACKAGE = Path(__file__).parents[2] / "src" / "purecert"


@pytest.mark.parametrize("name", ["_kernels", "_cuda"])
def test_the_stub_is_the_one_that_nanobind_makes(name: str, tmp_path: Path) -> None:
    pytest.importorskip(f"purecert.{name}", reason=f"purecert was built without {name}", exc_type=ImportError)
    fresh = tmp_path / f"{name}.pyi"
    command = [sys.executable, "-m", "nanobind.stubgen", "-q", "-m", f"purecert.{name}", "-o", str(fresh)]
    subprocess.run(command, check=True)
    assert (_PACKAGE / f"{name}.pyi").read_text() == fresh.read_text(), (
        f"run: python -m nanobind.stubgen -m purecert.{name} -o src/purecert/{name}.pyi"
    )
