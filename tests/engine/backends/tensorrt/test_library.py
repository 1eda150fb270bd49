"""A library that is missing or too old is named with what to install; what one says is kept and passed on."""

import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from purecert.engine.backends.tensorrt.library import LibraryName, failure, listen, load_library
from purecert.engine.errors import BackendError, OutOfMemoryError


@pytest.mark.parametrize(("name", "module"), [("tensorrt", "tensorrt"), ("tensorrt-rtx", "tensorrt_rtx_bindings")])
def test_a_missing_library_is_named_with_its_extra(
    name: LibraryName, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendError, match=rf"expected {name} to be installed.*pip install 'purecert\[{name}\]'"):
        load_library(name)


@pytest.mark.parametrize(
    "source",
    ["raise ImportError('libnvinfer.so.10: cannot open shared object file')", "import a_part_that_is_missing"],
)
def test_a_library_that_cannot_be_loaded_is_told_from_one_that_is_missing(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorrt.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(BackendError, match=r"tensorrt is installed but cannot be loaded \(.*(libnvinfer|a_part)"):
        load_library("tensorrt")


def _module(version: str) -> ModuleType:
    module: Any = ModuleType("tensorrt")
    module.__version__ = version
    return module


@pytest.mark.parametrize("version", ["8.6.1", "10.0.1", "10.11.0.33", "9.3.0.post12.dev1"])
def test_a_tensorrt_before_10_12_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", _module(version))
    with pytest.raises(BackendError, match=f"expected tensorrt 10.12 or newer, found {version}; install"):
        load_library("tensorrt")


@pytest.mark.parametrize("version", ["10.12.0.36", "10.16.1.11", "11.0.0.114", "11.4.0.106"])
def test_newer_ones_are_taken(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = _module(version)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    assert load_library("tensorrt") is module


class _ILogger:
    """The base class that a library offers; its messages come with a level."""


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Any:
    """Return what a library says through, and what is heard of it."""
    caplog.set_level(logging.DEBUG, "purecert")
    module: Any = ModuleType("library")
    module.ILogger = _ILogger
    logger, heard = listen(module)
    return SimpleNamespace(say=lambda level, text: logger.log(SimpleNamespace(name=level), text), heard=heard)


def test_warnings_and_errors_are_logged_in_one_line(said: Any, caplog: pytest.LogCaptureFixture) -> None:
    for level in ("VERBOSE", "INFO", "WARNING", "ERROR", "INTERNAL_ERROR"):
        said.say(level, f"{level}\n  happened")
    assert [(entry.levelname, entry.message) for entry in caplog.records] == [
        ("WARNING", "TensorRT: WARNING happened"),
        ("DEBUG", "TensorRT: ERROR happened"),  # the command's last line says it
        ("DEBUG", "TensorRT: INTERNAL_ERROR happened"),
    ]
    assert said.heard.why() == "ERROR happened; INTERNAL_ERROR happened"


def test_the_layer_report_is_kept_and_not_logged(said: Any, caplog: pytest.LogCaptureFixture) -> None:
    said.say("VERBOSE", "Layers:\nName: a")
    assert said.heard.reports == ["Layers:\nName: a"]
    assert caplog.records == []


def test_only_the_last_errors_are_kept(said: Any) -> None:
    assert said.heard.why() == "it does not say why"
    for number in range(10):
        said.say("ERROR", f"error {number}")
    assert said.heard.why() == "error 7; error 8; error 9"


@pytest.mark.parametrize(
    "text",
    ["[executor.cpp::alloc::1] Error Code 2: OutOfMemory", "Requested amount is Out of memory", "std::bad_alloc"],
)
def test_a_failure_for_want_of_memory_is_out_of_memory(said: Any, text: str) -> None:
    said.say("ERROR", text)
    said.say("ERROR", "Error Code 10: Internal Error")
    found = failure(said.heard, "tensorrt cannot do it")
    assert isinstance(found, OutOfMemoryError)
    assert str(found) == (
        f"tensorrt cannot do it: out of memory ({text}; Error Code 10: Internal Error); try a smaller --batch"
    )


def test_another_failure_is_the_backend_s(said: Any) -> None:
    assert str(failure(said.heard, "tensorrt cannot do it")) == "tensorrt cannot do it: it does not say why"
    said.say("ERROR", "Error Code 10: no tactic")
    found = failure(said.heard, "tensorrt cannot do it")
    assert isinstance(found, BackendError)
    assert str(found) == "tensorrt cannot do it: Error Code 10: no tactic"
