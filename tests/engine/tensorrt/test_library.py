"""A library that is missing or too old is named with what to install; what one says is kept and passed on."""

import logging
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from purecert.engine.errors import BackendError
from purecert.engine.tensorrt.library import LibraryName, listen, load_library


@pytest.mark.parametrize(("name", "module"), [("tensorrt", "tensorrt"), ("tensorrt-rtx", "tensorrt_rtx_bindings")])
def test_a_missing_library_is_named_with_its_extra(
    name: LibraryName, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BackendError, match=rf"expected {name} to be installed.*pip install 'purecert\[{name}\]'"):
        load_library(name)


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
        ("ERROR", "TensorRT: ERROR happened"),
        ("ERROR", "TensorRT: INTERNAL_ERROR happened"),
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
