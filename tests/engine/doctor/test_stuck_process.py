"""A process that no signal ends, as a hung driver makes it, does not hold up the doctor.

A traced process stays in the list of processes, whatever kills it, until its tracer has heard of that; and this one's
tracer does not listen.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import engine_arguments
from support.machines import Site

_PATIENCE = 240  # seconds that the tracer lives, should this test not end it
_TRACER = f"""
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] * 4
failed = libc.ptrace(0x4206, int(sys.argv[1]), 0, 0)  # PTRACE_SEIZE
with open(sys.argv[2] + ".part", "w") as file:
    file.write(f"{{os.getpid()}} {{os.strerror(ctypes.get_errno()) if failed else ''}}")
os.replace(sys.argv[2] + ".part", sys.argv[2])
time.sleep({_PATIENCE})
"""
# A library that makes the process which loads it such a one.
_RUNTIME = """
import ctypes, os, subprocess, sys, time
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER: any process may trace this one
nowhere = subprocess.DEVNULL
command = [sys.executable, "-c", {tracer!r}, str(os.getpid()), {found!r}]
subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)
time.sleep(3600)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the processes of Linux")


@pytest.fixture
def tracer(tmp_path: Path) -> Iterator[Path]:
    """Return where the tracer writes its id; it is ended afterwards."""
    found = tmp_path / "tracer"
    yield found
    if found.exists():
        os.kill(int(found.read_text().split()[0]), signal.SIGKILL)


@pytest.mark.slow
def test_a_process_that_cannot_be_ended_is_told_and_left_behind(tmp_path: Path, tracer: Path) -> None:
    site = Site(folder=tmp_path / "site")
    site.package("onnxruntime", {"__init__.py": _RUNTIME.format(tracer=_TRACER, found=os.fspath(tracer))})
    command = engine_arguments("doctor", "--backend", "onnxruntime", "--timeout", "6")
    environment = os.environ | {"PYTHONPATH": os.fspath(site.folder)}
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # to both streams' end
    took = time.monotonic() - began
    if not tracer.exists():
        pytest.skip("the tracer did not start in the time that the doctor gave it")
    if refused := tracer.read_text().partition(" ")[2]:
        pytest.skip(f"no process may be traced here ({refused})")
    assert done.returncode == 3
    assert "no answer within" in done.stderr
    assert "cannot be ended: it hangs in the kernel" in done.stderr
    assert "sudo reboot" in done.stderr
    assert "| onnxruntime" in done.stdout
    assert took < _PATIENCE / 2
