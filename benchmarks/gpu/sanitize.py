"""Compute Sanitizer's four tools over the small noise check."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass

import click
from gpu.record import print_table, write_record
from gpu.setting import read_setting

from purecert.engine.console import EngineCommand
from purecert.engine.errors import CheckError

# Errors of CUDA calls are not memcheck's to report: PyTorch asks for what a driver may lack, and ours raise.
_TOOLS = {"memcheck": ("--report-api-errors", "no"), "racecheck": (), "initcheck": (), "synccheck": ()}
_SUMMARY = re.compile(r"(?:ERROR|RACECHECK) SUMMARY: .*")
_FOUND = 9  # the exit code that we ask for where a tool finds something
_LONGEST = 110  # seconds; four tools in under eight minutes
_WORK = (sys.executable, "-m", "gpu.noise_check", "--small")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Report:
    """What one tool said."""

    tool: str
    exit_code: int  # 0 where it found nothing, 124 where it was stopped for its time
    summary: str


@click.command(cls=EngineCommand)
def main() -> None:
    """Run every tool; a tool that finds something or does not end fails the step."""
    setting = read_setting()
    if setting.is_dry_run or shutil.which("compute-sanitizer") is None:
        reason = "it needs a GPU" if setting.is_dry_run else "compute-sanitizer is not on the path"
        if code := subprocess.run(_WORK, check=False).returncode:  # what the tools would look at
            raise CheckError(f"the noise check without a tool ended with exit code {code}; what it said is above")
        write_record(setting, "sanitize", {"skipped": reason})
        print(f"skipped: {reason}")
        return
    reports = [_run(tool, options) for tool, options in _TOOLS.items()]
    write_record(setting, "sanitize", {"reports": [asdict(report) for report in reports]})
    print_table(("tool", "exit code", "summary"), [(r.tool, r.exit_code, r.summary) for r in reports])
    if bad := [report.tool for report in reports if report.exit_code != 0]:
        raise CheckError(f"expected clean reports, got others from {', '.join(bad)}; they are above")


def _run(tool: str, options: tuple[str, ...]) -> _Report:
    # Not subprocess's own timeout, which would leave the Python below the tool running.
    command = ["timeout", "--kill-after=5", str(_LONGEST), "compute-sanitizer", "--tool", tool]
    command += ["--error-exitcode", str(_FOUND), "--target-processes", "all", *options, *_WORK]
    environment = os.environ | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}  # so that each tensor has bounds to overstep
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:], file=sys.stderr)
    summaries = _SUMMARY.findall(done.stdout + done.stderr)
    return _Report(tool=tool, exit_code=done.returncode, summary="; ".join(summaries) or "no summary")


if __name__ == "__main__":
    main()
