"""The compiler that PyTorch calls: tried before it is relied on."""

import shutil
import tempfile
from pathlib import Path

import pytest

from purecert.engine.backends.torch.cpp_compiler import error_named_in, find_compiler
from purecert.engine.errors import Problem

_SECONDS = 60.0
_needs_gcc = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to try")


def _compiler(folder: Path, line: str) -> str:
    program = folder / "c++"
    program.write_text(f"#!/bin/sh\n{line}\n")
    program.chmod(0o755)
    return str(program)


@_needs_gcc
def test_a_compiler_that_shares_its_runtime_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "g++")
    assert find_compiler(_SECONDS) == "g++"


@_needs_gcc
def test_a_compiler_that_copies_its_runtime_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", _compiler(tmp_path, 'exec g++ "$@" -static-libstdc++'))
    found = find_compiler(_SECONDS)
    assert isinstance(found, Problem)
    assert "a copy of its runtime into every library" in found.reason
    assert "name another compiler in CXX" in found.remedy


@pytest.mark.parametrize(
    ("line", "words"),
    [("echo no such flag >&2; exit 1", "does not compile: no such flag"), ("exec sleep 5", "did not end within 0.1 s")],
)
def test_a_compiler_that_fails_is_named(line: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", _compiler(tmp_path, line))
    found = find_compiler(0.1 if "sleep" in line else _SECONDS)
    assert isinstance(found, Problem)
    assert words in found.reason
    assert "install a C++ compiler" in found.remedy


def test_an_absent_compiler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")
    found = find_compiler(_SECONDS)
    assert isinstance(found, Problem)
    assert "/nowhere/c++ cannot be started" in found.reason


@pytest.mark.parametrize("name", ["a b", "a\tb", "a'b", 'a"b', "a\\b"])
def test_a_folder_for_temporary_files_that_pytorch_takes_apart_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    found = find_compiler(_SECONDS)
    assert isinstance(found, Problem)
    assert f"the path of the folder for temporary files is {str(tmp_path / name)!r}" in found.reason
    assert "set TMPDIR" in found.remedy


def test_a_compiler_whose_path_pytorch_takes_apart_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b").mkdir()
    monkeypatch.setenv("CXX", _compiler(tmp_path / "a b", 'exec g++ "$@"'))
    found = find_compiler(_SECONDS)
    assert isinstance(found, Problem)
    assert f"the C++ compiler's name is {str(tmp_path / 'a b' / 'c++')!r}" in found.reason


@_needs_gcc
def test_a_folder_for_temporary_files_with_signs_of_a_shell_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a$HOME;b").mkdir()  # PyTorch starts no shell
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a$HOME;b"))
    monkeypatch.setenv("CXX", "g++")
    assert find_compiler(_SECONDS) == "g++"


def test_the_error_is_the_line_in_which_the_compiler_names_it() -> None:
    message = "C++ compile error\n\nCommand:\ng++ a.cpp\n\nOutput:\nIn a:\na.cpp:1:9: fatal error: omp.h: No such file"
    assert error_named_in(message) == "a.cpp:1:9: fatal error: omp.h: No such file"
    assert error_named_in("no compiler said: error: this") == ""
