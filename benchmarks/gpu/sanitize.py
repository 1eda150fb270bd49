"""Compute Sanitizer's four tools over the small noise check."""

import os
import subprocess
import sys
from dataclasses import asdict, dataclass

import click
from gpu.record import print_table, write_record
from gpu.sanitizer_report import faults, summary
from gpu.setting import read_setting
from gpu.toolkit import find_tool

from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import BackendError, CheckError

# Errors of CUDA calls are not memcheck's to report: PyTorch asks for what a driver may lack, and ours raise.
_TOOLS = {"memcheck": ("--report-api-errors", "no"), "racecheck": (), "initcheck": (), "synccheck": ()}
_FOUND = 9  # the exit code that we ask for where a tool finds something
_LONGEST = 110  # seconds; four tools in under eight minutes
_WORK = (sys.executable, "-m", "gpu.noise_check", "--small")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Report:
    """What one tool said."""

    tool: str
    exit_code: int  # 0 where it found nothing, 124 or 137 where it was stopped for its time
    faults: int | None  # None without a whole report
    summary: str
    is_clean: bool


@click.command(cls=EngineCommand)
def main() -> None:
    """Run every tool; without a clean report of each the step fails."""
    setting = read_setting()
    if setting.is_dry_run:
        if code := subprocess.run(_WORK, check=False).returncode:  # what the tools would look at
            raise CheckError(f"the noise check without a tool ended with exit code {code}; what it said is above")
        write_record(setting, "sanitize", {"reports": [], "note": "it needs a GPU"})
        print("skipped: it needs a GPU")
        return
    program = find_tool("compute-sanitizer")
    if program is None:
        raise BackendError(
            "expected compute-sanitizer in CUDA_HOME/bin, on the path or in /usr/local/cuda/bin, found none; "
            "it is part of the CUDA toolkit: install it, or set CUDA_HOME"
        )
    reports = [_run(program, tool, options) for tool, options in _TOOLS.items()]
    write_record(setting, "sanitize", {"reports": [asdict(report) for report in reports]})
    print_table(("tool", "exit code", "summary"), [(r.tool, r.exit_code, r.summary) for r in reports])
    if bad := [report.tool for report in reports if not report.is_clean]:
        raise CheckError(f"expected clean reports, got others from {', '.join(bad)}; they are above")


def _run(program: str, tool: str, options: tuple[str, ...]) -> _Report:
    # Not subprocess's own timeout, which would leave the Python below the tool running.
    command = ["timeout", "--kill-after=5", str(_LONGEST), program, "--tool", tool]
    command += ["--error-exitcode", str(_FOUND), "--target-processes", "all", *options, *_WORK]
    environment = os.environ | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}  # so that each tensor has bounds to overstep
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    text = f"{done.stdout}\n{done.stderr}"
    found = faults(tool, text)
    is_clean = done.returncode == 0 and found == 0
    if not is_clean:
        print(done.stdout[-4000:], done.stderr[-4000:], file=sys.stderr)
    return _Report(tool=tool, exit_code=done.returncode, faults=found, summary=summary(text), is_clean=is_clean)


if __name__ == "__main__":
    main()
