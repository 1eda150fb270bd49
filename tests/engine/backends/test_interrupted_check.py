"""Ctrl-C ends a row check at once, though the batch that is under way cannot be interrupted."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from support.plans import linear_plan

_AT_ONCE = 1.0  # seconds
_TEARING_DOWN = 0.5  # of Python's own, on a busy machine
# A graph whose every batch is one call of a minute and more in C, deaf to signals, and which tells when it begins.
_PROGRAM = """
import hashlib, signal, sys
sys.path[:0] = [{tests!r}]
from purecert.engine.backends import registry
from purecert.engine.backends.host import open_on_host
from purecert.engine.commands.{command} import {command}_command
from support.odd_graphs import OddGraph, minds_its_row

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it

def slow(rows, logits, number):
    if number > {fast}:
        print("begun", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 10**8)
    return logits

def opener():
    return lambda plan, sigma, noise, options: open_on_host(plan, noise, OddGraph(slow, options.batch))

registry.BACKENDS["slow"] = registry.BackendKind(extra="none", opener=opener)
{command}_command(prog_name="engine-{command}")
"""


def _interrupted(command: str, fast: int, *arguments: object) -> tuple[int, str, float]:
    """Return the exit code and the last line on stderr of a command that is interrupted in its batch after ``fast``."""
    program = _PROGRAM.format(command=command, fast=fast, tests=str(Path(__file__).parents[2]))
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.2)  # well inside the call
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        return process.returncode, said.splitlines()[-1], time.monotonic() - began
    finally:
        process.kill()


def test_ctrl_c_ends_a_row_check_within_a_second_and_leaves_nothing_behind(tmp_path: Path) -> None:
    plan = linear_plan(tmp_path / "plan", np.array([3, -2, 5, 1, -4, 2], np.float32), 300.5, (1, 2, 3))
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 2, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=images)
    asked = ("--plan", plan.directory, "--data", f"npz:{tmp_path / 'images.npz'}", "--sigma", 0.5, "--out")
    for command, fast in (("certify", 0), ("predict", 7)):
        out = tmp_path / command
        code, said, seconds = _interrupted(command, fast, *asked, out, "--backend", "slow", "--n", 1000)
        assert (code, said) == (130, "error: interrupted; what was finished is kept")
        assert seconds < _AT_ONCE + _TEARING_DOWN
        assert not list(out.glob("*.json*"))
        assert not (plan.directory / "cache").exists()
