"""The command engine-doctor.

Imports stay inside the functions so that ``--help`` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import BackendError, InputError

if TYPE_CHECKING:
    from purecert.engine.doctor.examination import Report

_SHORTEST, _LONGEST = 1, 3600  # seconds


@click.command(cls=EngineCommand)
@click.option("--backend", help="Examine this one only, and end with exit code 3 where it cannot be used.")
@click.option("--plan", type=click.Path(path_type=Path), help="Also check this plan and, if quick, try backends on it.")
@click.option("--timeout", default=9.0, show_default=True, help="Seconds to wait for each answer.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def doctor_command(backend: str | None, plan: Path | None, timeout: float, as_json: bool) -> None:
    """Say which backends can be used here, why the others cannot, and how to mend that.

    Every backend's runtime is opened and runs a batch, in a process of its own. The exit code is 0 whatever the answer.
    """
    from purecert.engine.doctor.examination import EXAMINATIONS, examine
    from purecert.engine.doctor.table import text

    if backend is not None and backend not in EXAMINATIONS:
        raise InputError(f"expected a backend out of {', '.join(EXAMINATIONS)}, got {backend!r}")
    if not _SHORTEST <= timeout <= _LONGEST:  # written so that NaN fails too
        raise InputError(f"expected --timeout in {_SHORTEST} to {_LONGEST} seconds, got {timeout}")
    report = examine(tuple(EXAMINATIONS) if backend is None else (backend,), plan, timeout)
    click.echo(report.to_json() if as_json else text(report))
    if backend is not None:
        _require_usable(report)


def _require_usable(report: Report) -> None:
    (diagnosis,) = report.backends
    if not diagnosis.usable:
        raise BackendError(f"backend {diagnosis.backend} cannot be used: {diagnosis.reason}; {diagnosis.remedy}")
