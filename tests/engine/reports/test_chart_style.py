"""Where Matplotlib keeps its files while purecert imports it."""

import os
import stat
import sys
from pathlib import Path

import pytest

from purecert.engine.reports.chart_style import _own_folder

_FOLDER = "MPLCONFIGDIR"


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the user's folder of configurations, in a program that has not imported Matplotlib yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", os.fspath(tmp_path))
    monkeypatch.delenv(_FOLDER, raising=False)
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    return tmp_path


def test_it_is_a_folder_of_purecert_s_own_which_only_the_user_enters_and_only_meanwhile(configuration: Path) -> None:
    with _own_folder():
        assert Path(os.environ[_FOLDER]) == configuration / "purecert" / "matplotlib"
    assert _FOLDER not in os.environ
    assert stat.S_IMODE((configuration / "purecert").stat().st_mode) == 0o700  # this machine's key will lie in it


@pytest.mark.usefixtures("configuration")
def test_the_user_s_own_choice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_FOLDER, "/of/mine")
    with _own_folder():
        assert os.environ[_FOLDER] == "/of/mine"
    assert os.environ[_FOLDER] == "/of/mine"


def test_a_matplotlib_that_the_program_imported_keeps_its_folder(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", sys)
    with _own_folder():
        assert _FOLDER not in os.environ
    assert list(configuration.iterdir()) == []


def test_without_a_place_for_it_matplotlib_chooses(configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (configuration / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CONFIG_HOME", os.fspath(configuration / "file"))
    with _own_folder():
        assert os.environ[_FOLDER].endswith("file/purecert/matplotlib")  # it says that it cannot, and takes another
