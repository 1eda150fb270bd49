"""Where plan and data lay is found again, from any working directory."""

import json
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.errors import InputError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.records.sources import Sources, read_sources


def _written(directory: Path, sources: Sources) -> Path:
    (directory / "invocation.json").write_text(json.dumps(sources.absolute() | {"noise": "native"}))
    return directory


def test_relative_paths_hold_from_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sources = Sources(plan=Path("plan"), data="cifar10:test[:5]", data_dir=Path("../data"))
    run = _written(tmp_path, sources)
    monkeypatch.chdir("/")
    assert read_sources(run) == Sources(
        plan=tmp_path / "plan", data="cifar10:test[:5]", data_dir=tmp_path.parent / "data"
    )


@pytest.mark.parametrize("data", ["npz:i.npz", "npz:i.npz[1:3]", "npz:./i.npz[2]", "npz:../x/i.npz"])
def test_data_named_by_its_own_path_is_found_from_another_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    np.savez("i.npz", x=np.arange(32, dtype=np.uint8).reshape(4, 1, 2, 4), y=np.arange(4))
    here = load_dataset(data)
    run = _written(tmp_path, Sources(plan=Path("plan"), data=data, data_dir=None))
    monkeypatch.chdir("/")
    assert load_dataset(read_sources(run).data).fingerprint == here.fingerprint


@pytest.mark.parametrize("data", ["digits:test[:5]", "digits:test", "mnist:train[::20]"])
def test_data_with_another_name_stays_as_it_was_given(tmp_path: Path, data: str) -> None:
    sources = Sources(plan=tmp_path, data=data, data_dir=None)
    assert read_sources(_written(tmp_path, sources)) == sources


def test_a_path_that_is_no_text_survives(tmp_path: Path) -> None:
    sources = Sources(plan=tmp_path / "plan\udcff", data="digits:test", data_dir=None)
    assert read_sources(_written(tmp_path, sources)) == sources


_BAD = ["", "[]", "null", "{}", '{"plan": "p", "data": "d"}', '{"plan": 1, "data": "d", "data_dir": null}', "\xff"]
_BAD += ['{"plan": "p", "data": 5, "data_dir": null}', '{"plan": "p", "data": "d", "data_dir": []}', "[" * 100_000]


@pytest.mark.parametrize("content", _BAD, ids=range(len(_BAD)))
def test_a_file_that_does_not_say_where_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "invocation.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"invocation.json: expected where plan and data lie, found"):
        read_sources(tmp_path)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"plan and data lie, found FileNotFoundError.*; restore the file"):
        read_sources(tmp_path)
