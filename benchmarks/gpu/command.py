"""Calls of the commands as they were built here, and of engine-bench above all."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu.setting import SIGMA, Setting

from purecert.engine.errors import BackendError


def run_engine(command: str, *arguments: str, of: str) -> Any:
    """Return what `engine-<command> <arguments> --json` prints, decoded; what it tells a person goes to stderr.

    Raises:
        BackendError: It ended otherwise than well; ``of`` says for what it was called.
    """
    done = subprocess.run(engine_command(command, *arguments), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BackendError(f"engine-{command} of {of} ended with exit code {done.returncode}; what it said is above")
    return json.loads(done.stdout)


def engine_command(command: str, *arguments: str) -> list[str]:
    """Return the command line of `engine-<command> <arguments> --json` in the build."""
    return [sys.executable, "-m", "gpu.engine", command, *arguments, "--json"]


def run_bench(setting: Setting, name: str, backends: Sequence[str], batch: int, output: Path) -> dict[str, Any]:
    """Return what engine-bench finds of ``backends`` on plan ``name``, and print its table.

    Raises:
        BackendError: No backend could be measured; the table says why.
    """
    table = output / "bench.md"
    table.unlink(missing_ok=True)  # or an earlier call's would be shown where this one ends early
    places = ["--plan", str(setting.plan(name)), "--model", setting.model(name), "--data", setting.data(name)]
    rows = ["--sigma", str(SIGMA), *(part for backend in backends for part in ("--backend", backend))]
    rows += ["--batch", str(batch), "--threads", str(setting.threads), "--probe-rows", str(setting.probe_rows)]
    sizes = ["--seconds", setting.pick("10", "0.2"), "--agreement-draws", setting.pick("2000", "100")]
    try:
        found: dict[str, Any] = run_engine("bench", *places, *rows, *sizes, "--out", str(output), "--force", of=name)
    finally:
        if table.exists():
            print(table.read_text(), flush=True)
    return found
