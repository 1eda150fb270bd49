"""What a row's own process hands back, and how its end is told."""

import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.bench import process
from purecert.engine.bench.process import in_own_process, peak_memory
from purecert.engine.errors import BackendError, InputError, OutOfMemoryError
from purecert.engine.images.datasets import load_dataset

_MIB = 2**20


def test_a_result_comes_from_another_process() -> None:
    assert in_own_process(math.hypot, 3.0, 4.0) == 5
    assert in_own_process(os.getpid) != os.getpid()


def test_an_expected_failure_comes_as_itself() -> None:
    with pytest.raises(InputError, match="--data: expected digits:test"):
        in_own_process(load_dataset, "nothing:test")


def test_memory_that_runs_out_is_told() -> None:
    with pytest.raises(OutOfMemoryError, match="a smaller --batch may fit"):
        in_own_process(np.empty, 2**60, np.uint8)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (signal.SIGKILL, OutOfMemoryError, "killed the process, most likely for its memory"),
        (signal.SIGSEGV, BackendError, "crashed with SIGSEGV"),
    ],
)
def test_a_process_that_dies_is_told(number: int, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        in_own_process(signal.raise_signal, number)


def test_ctrl_c_is_left_to_the_parent() -> None:
    assert in_own_process(signal.raise_signal, signal.SIGINT) is None


def test_a_fault_of_ours_is_not_taken_for_a_backends(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="ended with exit code 1; its traceback is above"):
        in_own_process(math.sqrt, -1.0)
    assert "ValueError" in capfd.readouterr().err


def test_peak_memory_is_that_of_the_process_alone() -> None:
    held = np.ones(400 * _MIB, np.uint8)  # written, so that it is resident
    assert peak_memory() > held.nbytes
    assert in_own_process(peak_memory) < 300 * _MIB


def test_peak_memory_where_the_system_does_not_tell_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As sandboxes do; what getrusage says then is in kilobytes, but on macOS."""
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmRSS:\t1 kB\n")
    monkeypatch.setattr(process, "_STATUS", status)
    held = np.ones(400 * _MIB, np.uint8)
    assert held.nbytes < peak_memory() < 64 * 2**30
