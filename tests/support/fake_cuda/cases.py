"""Files of test cases that run in a process of their own, on the fake driver."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

needs_pycuda = pytest.mark.skipif(
    find_spec("pycuda") is None,
    reason="pycuda is not installed; tests/support/fake_cuda/install_pycuda.sh builds it where nvcc is",
)


def environment(library: Path, **settings: str) -> dict[str, str]:
    """Return this process's environment with the fake driver for every program that looks for one.

    Args:
        library: What ``build_driver`` returned.
        settings: ``FAKE_CUDA_ERRORS`` (``name:error[:first[:calls]],...``), ``FAKE_CUDA_DRIVER_VERSION`` (13000 is
            13.0), ``FAKE_CUDA_ARCHITECTURE`` (90 is sm_90), ``FAKE_CUDA_REPORT`` (a file for the log at the end).
    """
    folders = [os.fspath(library.parent), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(folders), **settings}


def run_cases(cases: Path, library: Path, report: Path) -> None:
    """Run the tests of the file ``cases`` on the fake driver; fail with what pytest said unless all of them passed.

    Args:
        cases: A file of tests whose name keeps it from being collected with the others.
        library: What ``build_driver`` returned.
        report: A file that may be written.
    """
    options = ["-p", "no:xdist", "-p", "no:cacheprovider", "--no-header", f"--junitxml={report}"]
    command = [sys.executable, "-m", "pytest", *options, os.fspath(cases)]
    done = subprocess.run(command, env=environment(library), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    suite = ElementTree.parse(report).find("testsuite")
    assert suite is not None
    assert int(suite.attrib["tests"]) > 0
    # A case that skips itself would pass unseen.
    assert suite.attrib["skipped"] == "0", done.stdout
