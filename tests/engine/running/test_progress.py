"""The progress line tells what is true since the run began or was resumed, on a terminal and nowhere else."""

import io
import os
import sys
from dataclasses import replace

import pytest

from purecert.engine.procedures.outcomes import Abstention, Prediction
from purecert.engine.running.progress import TerminalProgress
from support.records import certified


class _Memory(io.BytesIO):
    name, mode = "screen", "wb"  # what a file has and memory has not


class _Terminal(io.TextIOWrapper):
    """A terminal that remembers what was written to it."""

    def __init__(self, *, is_terminal: bool = True) -> None:
        self._bytes, self._is_terminal = _Memory(), is_terminal
        super().__init__(self._bytes, encoding="utf-8", newline="", write_through=True)

    @property
    def mode(self) -> str:
        return "w"

    def isatty(self) -> bool:
        return self._is_terminal

    def getvalue(self) -> str:
        return self._bytes.getvalue().decode()

    @property
    def line(self) -> str:
        """Return what stands in the current line: a carriage return goes back and writes over."""
        shown = ""
        for part in self.getvalue().rpartition("\n")[2].split("\r"):
            shown = part + shown[len(part) :]
        return shown.rstrip()


class _Clock:
    """A clock that a test turns by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("purecert.engine.running.progress.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    return _Clock(monkeypatch)


def test_nothing_is_written_where_there_is_no_terminal(clock: _Clock) -> None:
    stream = _Terminal(is_terminal=False)
    progress = TerminalProgress(2, 100, stream)
    for index in range(2):
        clock.now += 60
        progress.rows(100)
        progress.image(certified(index))
    assert stream.getvalue() == ""


def test_a_closed_stderr_is_no_terminal(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    progress = TerminalProgress(1, 1)
    progress.rows(1)
    progress.image(certified(0))
    assert capfd.readouterr() == ("", "")


def test_the_default_is_the_stderr_of_the_moment(monkeypatch: pytest.MonkeyPatch, clock: _Clock) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    TerminalProgress(1, 100).rows(10)
    assert terminal.line.startswith("0/1 images")


def test_images_speed_accuracy_and_time_left_are_what_they_say(clock: _Clock) -> None:
    terminal = _Terminal()
    progress = TerminalProgress(images=10, rows_per_image=1000, stream=terminal)
    clock.now += 2
    progress.rows(1000)
    assert terminal.line == "0/10 images  500 samples/s  certified accuracy -  18 s left"
    progress.image(certified(0, label=3))
    progress.image(certified(1, label=4))
    progress.image(replace(certified(2, label=3), outcome=Abstention()))
    clock.now += 2
    progress.rows(3000)
    assert terminal.line == "3/10 images  1,000 samples/s  certified accuracy 33.3%  6 s left"


def test_the_last_image_is_shown_and_ends_the_line(clock: _Clock) -> None:
    terminal = _Terminal()
    progress = TerminalProgress(images=2, rows_per_image=100, stream=terminal)
    for index in range(2):
        clock.now += 1
        progress.rows(100)
        progress.image(certified(index))
    assert terminal.getvalue().endswith("2/2 images  100 samples/s  certified accuracy 100.0%  0 s left\n")
    assert terminal.getvalue().count("\n") == 1


def test_after_a_resume_speed_and_time_left_count_from_there(clock: _Clock) -> None:
    """60 of 100 images were done before, and opening the backend took a minute: neither tells how fast this goes."""
    terminal = _Terminal()
    progress = TerminalProgress(images=100, rows_per_image=100, stream=terminal)
    clock.now += 60
    for index in range(60):
        progress.image(certified(index))
    clock.now += 10
    progress.rows(1000)
    assert terminal.line == "60/100 images  100 samples/s  certified accuracy 100.0%  30 s left"
    for index in range(60, 70):
        progress.image(certified(index))
    clock.now += 10
    progress.rows(2000)
    assert terminal.line == "70/100 images  150 samples/s  certified accuracy 100.0%  7 s left"


def test_a_finished_run_that_is_resumed_claims_no_speed(clock: _Clock) -> None:
    terminal = _Terminal()
    progress = TerminalProgress(images=3, rows_per_image=100, stream=terminal)
    clock.now += 60
    for index in range(3):
        progress.image(certified(index))
    assert terminal.getvalue() == "\r3/3 images  0 samples/s  certified accuracy 100.0%  - s left\n"


def test_images_without_labels_have_no_accuracy(clock: _Clock) -> None:
    terminal = _Terminal()
    progress = TerminalProgress(images=2, rows_per_image=100, stream=terminal)
    clock.now += 1
    progress.rows(100)
    progress.image(certified(0, label=None))
    clock.now += 1
    progress.rows(50)
    assert "certified accuracy -  " in terminal.line


def test_the_line_is_redrawn_five_times_a_second_at_most(clock: _Clock) -> None:
    terminal = _Terminal()
    progress = TerminalProgress(images=10, rows_per_image=1000, stream=terminal)
    for _ in range(1000):
        clock.now += 0.001
        progress.rows(10)
    assert 4 <= terminal.getvalue().count("\r") <= 6


def test_a_shorter_line_leaves_nothing_of_the_longer_one(clock: _Clock) -> None:
    terminal = _Terminal()
    progress = TerminalProgress(images=10, rows_per_image=1000, stream=terminal)
    clock.now += 0.5
    progress.rows(9000)
    assert terminal.line == "0/10 images  18,000 samples/s  certified accuracy -  0 s left"
    clock.now += 99.5
    progress.rows(1)
    assert terminal.line == "0/10 images  90 samples/s  certified accuracy -  11 s left"


def test_a_real_terminal_shows_it() -> None:
    reader, terminal = os.openpty()
    with os.fdopen(terminal, "w") as screen:
        progress = TerminalProgress(1, 100, screen)
        progress.rows(100)
        progress.image(certified(0))
    shown = ""
    while not shown.endswith("\n"):  # the kernel hands it over in pieces
        shown += os.read(reader, 4096).decode()
    os.close(reader)
    assert shown.startswith("\r0/1 images  ")
    assert "certified accuracy 100.0%" in shown
    assert shown.endswith("s left\r\n")


def test_a_prediction_is_not_called_certified(clock: _Clock) -> None:
    stream = _Terminal()
    progress = TerminalProgress(1, 100, stream, certifies=False)
    progress.rows(100)
    progress.image(replace(certified(0), outcome=Prediction(predicted=0, p_value=1e-4)))
    assert "  accuracy " in stream.getvalue()
    assert "certified" not in stream.getvalue()
