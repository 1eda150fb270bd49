"""A question asked in a process of its own comes back as an answer, whatever happens to the process."""

import os
import signal
import time

import pytest

from purecert.engine.errors import BackendError, UnusableError
from purecert.engine.own_process import DiedError, ask, call
from support.questions import failing, hanging, noisy, segfault, silent, unexpected, unusable

_PATIENCE = 60.0


def test_the_answer_comes_from_another_process_whose_output_nobody_sees(capfd: pytest.CaptureFixture[str]) -> None:
    assert ask(_PATIENCE, noisy) != os.getpid()
    assert capfd.readouterr() == ("", "")


def test_a_call_writes_to_the_streams_of_its_caller(capfd: pytest.CaptureFixture[str]) -> None:
    assert call(noisy) != os.getpid()
    assert capfd.readouterr() != ("", "")
    with pytest.raises(DiedError, match=r"^its process ended with exit code 1$"):
        call(unexpected)
    assert "Traceback" in capfd.readouterr().err


def test_expected_failures_come_back_as_they_were_raised() -> None:
    with pytest.raises(UnusableError) as caught:
        ask(_PATIENCE, unusable)
    assert (caught.value.problem.reason, caught.value.problem.remedy) == ("it is broken", "mend it")
    with pytest.raises(BackendError, match="it failed; do something"):
        ask(_PATIENCE, failing)


def test_a_crash_names_the_signal_and_what_was_said_last() -> None:
    with pytest.raises(DiedError) as caught:
        ask(_PATIENCE, segfault)
    assert caught.value.reason == "it crashed with SIGSEGV (something went wrong in a driver)"
    assert caught.value.signal_name == signal.Signals.SIGSEGV.name
    assert not caught.value.timed_out


def test_an_end_without_an_answer_is_told_by_its_last_line_or_its_code() -> None:
    with pytest.raises(DiedError, match=r"^OSError: libmissing.so.9: cannot open shared object file$"):
        ask(_PATIENCE, unexpected)
    with pytest.raises(DiedError, match=r"^its process ended with exit code 7$"):
        ask(_PATIENCE, silent)


def test_what_hangs_is_given_up_and_ended() -> None:
    began = time.monotonic()
    with pytest.raises(DiedError, match=r"no answer within 0\.5 s") as caught:
        ask(0.5, hanging)
    assert caught.value.timed_out
    assert time.monotonic() - began < 60
