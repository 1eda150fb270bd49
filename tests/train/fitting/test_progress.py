"""A training talks by a bar on a terminal, by lines elsewhere."""

import io
import sys
from dataclasses import replace

import pytest

from purecert.train.fitting.progress import Bar, Lines, Silent, StepReport, TrainingProgress, usual_progress
from purecert.train.fitting.session import Session
from support.toy_training import PLAN, train_toy


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _told(stream: io.StringIO, kind: type[TrainingProgress]) -> str:
    progress = usual_progress(stream)
    assert type(progress) is kind
    train_toy(Session(progress=progress), replace(PLAN, steps=12))
    return stream.getvalue()


def test_a_terminal_shows_a_bar_with_steps_loss_and_time_left() -> None:
    told = _told(_Terminal(), Bar)
    last = told.split("\r")[-1]
    assert "toy: 100%" in last
    assert "12/12" in last
    assert "loss" in last
    assert last.endswith("\n")
    assert "<" in told  # tqdm's mark before the time left


def test_elsewhere_each_report_is_one_line() -> None:
    lines = _told(io.StringIO(), Lines).splitlines()
    assert [line.split(" loss")[0] for line in lines] == ["toy 6/12", "toy 12/12"]
    assert all("samples/s" in line and line.endswith("s left") for line in lines)


def test_time_left_follows_from_the_seconds_spent() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.begin("toy", 50, 200)
    line = StepReport(
        stage="toy",
        step=100,
        steps=200,
        loss=1.0,
        learning_rate=0.1,
        gradient_norm=1.0,
        samples_per_second=2000.0,
        seconds=30.0,
    )
    lines.report(line)
    assert stream.getvalue() == "toy goes on at 50/200\ntoy 100/200 loss 1.0000  2,000 samples/s  30 s left\n"


def test_a_closed_stderr_is_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert type(usual_progress()) is Silent
