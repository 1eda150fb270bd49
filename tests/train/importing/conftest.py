"""The command of importing, run in this process beside small checkpoints of several kinds."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from purecert.engine.commands.console import EngineCommand
from purecert.train.importing.command import import_command
from purecert.train.networks.adm.unet import AdmUNet, AdmUNetConfig
from purecert.train.networks.film_unet import FilmUNet, FilmUNetConfig
from purecert.train.networks.plain_denoisers import Ffdnet, PlainDenoiserConfig
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from support.checkpoint_files import write_json, write_torch
from support.published_networks import write_classifier

_SONG = {
    "img_resolution": 8,
    "in_channels": 3,
    "out_channels": 3,
    "model_channels": 8,
    "channel_mult": [1],
    "num_blocks": 1,
    "attn_resolutions": [],
}
_ADM = {
    "image_size": 8,
    "model_channels": 32,
    "num_res_blocks": 1,
    "attention_resolutions": [],
    "channel_mult": [1],
    "num_head_channels": 16,
}


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch marker",))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, which holds small checkpoints of several kinds."""
    monkeypatch.chdir(tmp_path)
    write_classifier(tmp_path)
    torch.manual_seed(0)
    networks: dict[str, torch.nn.Module] = {
        "ffdnet": Ffdnet(PlainDenoiserConfig(width=8, depth=3)),
        "grey": Ffdnet(PlainDenoiserConfig(width=8, depth=3, channels=1)),
        "film": FilmUNet(FilmUNetConfig(widths=(8, 8), embedding=8)),
        "song": SongUNet(SongUNetConfig(**_tuples(_SONG))),
        "adm": AdmUNet(AdmUNetConfig(qkv_order="heads-three-dim", **_tuples(_ADM))),
    }
    for name, network in networks.items():
        write_torch(tmp_path / f"{name}.pt", network.state_dict())
    write_json(tmp_path / "film.json", {"network": {"widths": [8, 8], "embedding": 8}})
    write_json(tmp_path / "song.json", {"network": _SONG})
    write_json(tmp_path / "adm.json", {"network": _ADM | {"qkv_order": "heads-three-dim"}})
    write_json(tmp_path / "no-order.json", {"network": _ADM})
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    write_json(tmp_path / "list.json", [1])
    write_json(tmp_path / "other.json", {"networks": {}})
    write_json(tmp_path / "field.json", {"network": {"widht": 3}})
    write_json(tmp_path / "value.json", {"network": {"width": "3"}})
    write_json(tmp_path / "inner.json", {"network": 3})
    write_torch(tmp_path / "hostile.pt", {"weight": _Runs()})
    (tmp_path / "hostile.pkl").write_bytes(pickle.dumps({"ema": _Runs()}))
    (tmp_path / "old.pt").write_text("kept")
    return tmp_path


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return what runs the command in this process and returns its exit code, stdout and stderr."""
    command: EngineCommand = import_command

    def run_command(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            command.main([os.fspath(argument) for argument in arguments], prog_name="engine-import")
        said = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, said.out, said.err

    return run_command
