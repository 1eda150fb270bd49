"""How every command ends: results on stdout, one line on stderr for a failure, and the exit codes."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from purecert.engine.errors import OutOfMemoryError, PurecertError

_INTERRUPTED = 130


class EngineCommand(click.Command):
    """A click command whose expected failures are one line on stderr and an exit code, never a traceback.

    Use as ``@click.command(cls=EngineCommand)``. Exit codes: 0 done; 2 bad input or usage; 3 a backend is missing or
    unusable; 4 a check failed; 5 out of memory; 6 a run's votes were not reproduced on its own engine; 130
    interrupted. A fault of purecert itself still shows its traceback.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click would add an empty line to an interruption, and take an EOFError for one."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None
        except EOFError as error:
            raise RuntimeError("a file ended too early, and its reader did not say which") from error

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Parse ``args``, run the command and leave the process with its exit code."""
        extra["standalone_mode"] = False  # click would print usage over three lines
        try:
            sys.exit(super().main(list(args) if args is not None else None, *rest, **extra) or 0)
        except click.ClickException as error:
            _fail(error.format_message(), 2)
        except PurecertError as error:
            _fail(str(error), error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            _fail("interrupted; what was finished is kept", _INTERRUPTED)
        except MemoryError:
            _fail("memory ran out; a smaller --batch may fit", OutOfMemoryError.exit_code)
        except OSError as error:
            _fail(f"{error.filename or 'file system'}: {error.strerror or error}", 2)


class EngineGroup(EngineCommand, click.Group):
    """Several commands under one name, which end as an ``EngineCommand`` does."""


def talk(message: str) -> None:
    """Write ``message`` to stderr, where it cannot mix with results."""
    click.echo(message, err=True)


def _fail(message: str, exit_code: int) -> None:
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    erase = "\r\x1b[K" if on_terminal else ""  # a progress bar may stand in the line
    click.echo(f"{erase}error: {' '.join(message.split())}", err=True)
    from purecert.engine.interruptible import calls_under_way

    if calls_under_way():
        os._exit(exit_code)  # a runtime that computes would be torn down under it, or waited for
    sys.exit(exit_code)
