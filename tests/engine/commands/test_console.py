"""Every expected failure is one line on stderr and its exit code; a fault of ours is a traceback."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from purecert.engine.commands.console import EngineCommand, talk
from purecert.engine.errors import BackendError, CheckError, InputError, OutOfMemoryError, PurecertError


def _run(capsys: pytest.CaptureFixture[str], error: BaseException | None, *arguments: str) -> tuple[object, str, str]:
    """Run a command that prints a result and then raises ``error``; return exit code, stdout and stderr."""

    @click.command(cls=EngineCommand)
    @click.option("--count", type=int, default=1)
    @click.option("--kind", type=click.Choice(["cat", "dog"]), default="cat")
    @click.argument("name", required=False)
    def command(count: int, kind: str, name: str | None) -> None:
        """Do something."""
        click.echo("result")
        if error is not None:
            raise error

    with pytest.raises(SystemExit) as end:
        command.main(list(arguments), prog_name="engine-test")
    said = capsys.readouterr()
    return end.value.code, said.out, said.err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (PurecertError("what"), 2, "error: what"),
        (InputError("x: expected a, found b; do c"), 2, "error: x: expected a, found b; do c"),
        (BackendError("no backend"), 3, "error: no backend"),
        (CheckError("rows depend"), 4, "error: rows depend"),
        (OutOfMemoryError("too large"), 5, "error: too large"),
        (MemoryError(), 5, "error: memory ran out; a smaller --batch may fit"),
        (KeyboardInterrupt(), 130, "error: interrupted; what was finished is kept"),
        (click.Abort(), 130, "error: interrupted; what was finished is kept"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "error: file system: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "run/lock"), 2, "error: run/lock: Permission denied"),
        (OSError("Cannot call"), 2, "error: file system: Cannot call"),
        (click.BadParameter("expected radii"), 2, "error: Invalid value: expected radii"),
        (click.FileError("plan.json", "unreadable"), 2, "error: Could not open file 'plan.json': unreadable"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_expected_failure_is_one_line_and_its_exit_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    assert _run(capsys, error) == (code, "result\n", line + "\n")


def test_a_message_of_many_lines_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    message = "the runtime said:\n\n  line one\r\n\tline two\n"
    assert _run(capsys, BackendError(message))[2] == "error: the runtime said: line one line two\n"


def test_a_real_failure_to_allocate_is_out_of_memory(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MemoryError) as failure:
        np.empty(2**60, np.uint8)
    assert _run(capsys, failure.value)[0] == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--colour", "red"], "No such option '--colour'"),
        (["--count", "many"], "Invalid value for '--count': 'many' is not a valid integer"),
        (["--count"], "Option '--count' requires an argument"),
        (["--kind", "fox"], "Invalid value for '--kind': 'fox' is not one of"),
        (["one", "two"], "Got unexpected extra argument (two)"),
    ],
)
def test_a_usage_error_is_one_line_and_2(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    code, out, err = _run(capsys, None, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert words in err
    assert err.count("\n") == 1


def test_a_command_that_is_done_says_nothing_on_stderr_and_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(capsys, None) == (0, "result\n", "")


def test_help_is_on_stdout_and_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run(capsys, None, "--help")
    assert (code, err) == (0, "")
    assert "Usage: engine-test [OPTIONS]" in out
    assert "Do something." in out


@pytest.mark.parametrize("kind", [ValueError, AssertionError, KeyError, RecursionError, RuntimeError])
def test_a_fault_of_ours_is_not_caught(kind: type[Exception]) -> None:
    @click.command(cls=EngineCommand)
    def command() -> None:
        raise kind("ours")

    with pytest.raises(kind, match="ours"):
        command.main([], prog_name="engine-test")


def test_an_end_of_file_is_no_interruption() -> None:
    """Click takes an EOFError for Ctrl-D at a prompt; here it comes from a truncated file that nobody expected."""

    @click.command(cls=EngineCommand)
    def command() -> None:
        raise EOFError("no data left")

    with pytest.raises(RuntimeError, match="a file ended too early") as fault:
        command.main([], prog_name="engine-test")
    assert isinstance(fault.value.__cause__, EOFError)


def test_talk_is_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    talk("drew a curve")
    assert capsys.readouterr() == ("", "drew a curve\n")


# --- as a process


_PROGRAM = """
import signal, sys, time
import click
from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import InputError

# What a shell starts behind it ignores the signal, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

@click.command(cls=EngineCommand)
@click.argument("what")
def command(what):
    click.echo("result")
    if what == "sleep":
        time.sleep(60)
    if what == "input":
        raise InputError("expected a, found b; do c")
    if what == "bytes":
        raise InputError("plan\\udcff: expected a plan")
    if what == "fault":
        raise ValueError("ours")

command(prog_name="engine-test")
"""


def _start(what: str, **streams: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _PROGRAM, what], text=True, **streams)  # type: ignore[call-overload, no-any-return]  # streams by name


def test_ctrl_c_ends_a_process_with_130_and_one_line() -> None:
    process = _start("sleep", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "result\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "error: interrupted; what was finished is kept\n")


def test_a_path_that_is_no_text_is_printed_all_the_same() -> None:
    process = _start("bytes", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (2, "error: plan\\udcff: expected a plan\n")


def test_a_fault_of_ours_shows_its_traceback() -> None:
    process = _start("fault", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "result\n")
    assert err.startswith("Traceback (most recent call last)")
    assert err.endswith("ValueError: ours\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_result_that_cannot_be_written_is_one_line_and_2() -> None:
    with Path("/dev/full").open("w") as full:
        process = _start("nothing", stdout=full, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (2, "error: file system: No space left on device\n")


def test_a_command_without_its_streams_still_ends_with_its_exit_code() -> None:
    command = f"exec '{sys.executable}' -c '{_PROGRAM}' input >&- 2>&-"
    assert subprocess.run(["/bin/sh", "-c", command], check=False).returncode == 2


def test_an_error_takes_the_line_of_a_progress_bar_on_a_terminal() -> None:
    """The bar's line has no newline yet; the error must not be glued to it."""
    reader, terminal = os.openpty()
    with os.fdopen(terminal, "w") as screen:
        process = _start("input", stdout=subprocess.DEVNULL, stderr=screen)
        assert process.wait(timeout=30) == 2
    shown = b""
    while not shown.endswith(b"\n"):  # the kernel hands it over in pieces
        shown += os.read(reader, 1000)
    os.close(reader)
    assert shown == b"\r\x1b[Kerror: expected a, found b; do c\r\n"
