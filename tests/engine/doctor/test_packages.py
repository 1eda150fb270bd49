"""Packages are read from what lies on Python's path, without importing any."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.machines import Site

_READ = (
    "import json, sys; from dataclasses import asdict; from purecert.engine.doctor.packages import read_packages;"
    "print(json.dumps(asdict(read_packages()), default=sorted))"
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(folder=tmp_path / "site")


def _read(site: Site) -> dict[str, Any]:
    """Return the packages as a process sees them that has ``site`` first on its path."""
    environment = os.environ | {"PYTHONPATH": os.fspath(site.folder)}
    done = subprocess.run([sys.executable, "-c", _READ], capture_output=True, text=True, check=True, env=environment)
    packages: dict[str, Any] = json.loads(done.stdout)
    return packages


def test_versions_are_found_by_their_normalised_names_and_the_first_counts(site: Site) -> None:
    site.distribution("TensorRT_cu13.libs", "11.4.0")
    site.distribution("onnxruntime", "0.0.1")
    site.distribution("pycuda", "2026.1")
    site.distribution("unrelated", "1")
    (site.folder / "broken-1.0.dist-info").mkdir()
    (site.folder / "broken-1.0.dist-info" / "METADATA").write_text("")
    versions = _read(site)["versions"]
    assert versions["tensorrt-cu13-libs"] == "11.4.0"
    assert versions["onnxruntime"] == "0.0.1"
    assert versions["pycuda"] == "2026.1"
    assert "unrelated" not in versions


def test_the_cuda_of_a_build_is_read_and_no_code_of_it_runs(site: Site) -> None:
    stop = "raise SystemExit('imported')\n"
    version = f"from typing import Optional\n{stop}__version__ = '2.15.0'\ncuda: Optional[str] = '13.0'\nhip = None\n"
    site.package("torch", {"__init__.py": stop, "version.py": version})
    info = f"{stop}package_name = 'onnxruntime-gpu'\n__version__ = '1.31.1'\ncuda_version = '12.8'\n"
    site.package("onnxruntime", {"__init__.py": stop, "capi/build_and_package_info.py": info})
    packages = _read(site)
    assert packages["torch_cuda"] == "13.0"
    assert (packages["onnxruntime_files"], packages["onnxruntime_cuda"]) == ("onnxruntime-gpu", "12.8")
    assert {"torch", "onnxruntime"} <= set(packages["modules"])


def test_a_build_without_cuda_says_so(site: Site) -> None:
    site.package("torch", {"version.py": "cuda: str | None = None\n"})
    site.package("onnxruntime", {})
    packages = _read(site)
    assert packages["torch_cuda"] is None
    assert (packages["onnxruntime_files"], packages["onnxruntime_cuda"]) == (None, None)


def test_a_module_that_cannot_be_imported_is_not_there(site: Site) -> None:
    site.hide("torch")
    packages = _read(site)
    assert "torch" not in packages["modules"]
    assert packages["torch_cuda"] is None
