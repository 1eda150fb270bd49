"""Weights are found under what trainers put around them, or the keys that are there are named."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from purecert.engine.errors import InputError
from purecert.train.importing.classifier_kinds import CLASSIFIER_KINDS
from purecert.train.importing.plain_weights import read_weights
from purecert.train.networks.resnet import ResNet, ResNetConfig
from support.checkpoint_files import prefixed, write_torch

_WEIGHTS = {"conv.weight": torch.ones(2, 1), "fc.bias": torch.zeros(3)}
_OTHERS = {"conv.weight": torch.full((2, 1), 7.0), "fc.bias": torch.ones(3)}
_CHAIN = prefixed(_WEIGHTS, "model.")


def _averaged(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {"n_averaged": torch.tensor(4), **prefixed(state, "module.")}


def _read(folder: Path, content: object, own: str = "") -> tuple[dict[str, Tensor], list[str]]:
    notes: list[str] = []
    return read_weights(write_torch(folder / "a.pt", content), notes.append, own=own), notes


@pytest.mark.parametrize(
    "content",
    [
        _WEIGHTS,
        *({key: _WEIGHTS} for key in ("state_dict", "model_state_dict", "model", "net")),
        {"epoch": 3, "optimizer": {"state": {}, "param_groups": []}, "net": _WEIGHTS},
        {"model": {"state_dict": {"net": prefixed(_WEIGHTS, "module.")}}},
        *(prefixed(_WEIGHTS, prefix) for prefix in ("_orig_mod.", "module.", "model.", "net.")),
        {"state_dict": prefixed(_WEIGHTS, "model._orig_mod.module.net.")},
        {"state_dict": prefixed(_WEIGHTS, "module._orig_mod."), "pytorch-lightning_version": "2.5"},
        _averaged(_WEIGHTS),
        {"model": _averaged(prefixed(_WEIGHTS, "_orig_mod."))},
        prefixed(_averaged(prefixed(_WEIGHTS, "module.")), "module."),
    ],
)
def test_what_trainers_put_around_weights_is_taken_off(tmp_path: Path, content: Any) -> None:
    found, notes = _read(tmp_path, content)
    assert list(found) == list(_WEIGHTS)
    assert all(torch.equal(found[name], value) for name, value in _WEIGHTS.items())
    is_averaged = "n_averaged" in str(content)
    assert notes == (["weights of a.pt: averaged over 4 states (n_averaged)"] if is_averaged else [])


def test_pytorchs_own_averaged_model_is_read(tmp_path: Path) -> None:
    network = nn.Linear(2, 1)
    averaged = AveragedModel(network)
    averaged.update_parameters(network)
    found, notes = _read(tmp_path, averaged.state_dict())
    assert found.keys() == network.state_dict().keys()
    assert notes == ["weights of a.pt: averaged over 1 states (n_averaged)"]


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module._orig_mod.", "net._orig_mod.", "net.model."])
def test_a_prefix_that_is_the_networks_own_stays(tmp_path: Path, prefix: str) -> None:
    assert list(_read(tmp_path, prefixed(_CHAIN, prefix), own="model.")[0]) == list(_CHAIN)


@pytest.mark.parametrize(
    ("plain", "averaged"), [("state_dict", "state_dict_ema"), ("model", "model_ema"), ("params", "params_ema")]
)
def test_averaged_weights_beside_plain_ones_are_taken_and_said(tmp_path: Path, plain: str, averaged: str) -> None:
    found, notes = _read(tmp_path, {plain: _OTHERS, averaged: _WEIGHTS})
    assert torch.equal(found["conv.weight"], _WEIGHTS["conv.weight"])
    assert notes == [f"weights of a.pt: the averaged ones under {averaged}, not the plain ones under {plain}"]
    assert _read(tmp_path, {plain: _OTHERS, averaged: {"decay": 0.9}})[0]["conv.weight"][0] == 7


_DEEP: Any = _WEIGHTS
for _ in range(9):
    _DEEP = {"model": _DEEP}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"epoch": 3, "weights": _WEIGHTS, "two\nlines": 1}, r"found the keys epoch, weights, two\\nlines$"),
        ({f"key{i}": i for i in range(20)}, r"found the keys key0, .*, key7 and 12 more$"),
        (
            {"model": _WEIGHTS, "net": _OTHERS},
            "holds several tables of weights, model, net; save the one that is meant",
        ),
        ({"ema": _WEIGHTS, "model_ema": _OTHERS, "model": _OTHERS}, "several tables of weights, model_ema, ema"),
        ({"model": {"epoch": 3}}, "found the keys model$"),
        (_DEEP, "more than 8 deep"),
    ],
)
def test_where_nothing_fits_the_keys_that_are_there_are_named(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        _read(tmp_path, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("prefix", "std"),
    [
        ("", 0.229),
        ("model.", 0.229),
        ("1.", 0.2023),
        ("module.1.", 0.2023),
        ("1.module.", 0.2023),
        ("model._orig_mod.1.module.", 0.2023),
    ],
)
def test_a_normalisation_by_the_names_prefix_is_said(tmp_path: Path, prefix: str, std: float) -> None:
    state = ResNet(ResNetConfig(classes=10, blocks=(1, 1, 1))).state_dict()
    path = write_torch(tmp_path / "a.th", {"state_dict": prefixed(state, prefix)})
    found = CLASSIFIER_KINDS["cifar-resnet"].read(path, "")
    assert found.preprocessing.std[0] == std
    is_all = "since all names begin with 1." in found.because
    assert is_all == (std == 0.2023)


def test_the_names_that_are_there_are_told_where_a_weight_is_missing(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"weight 'fc.weight' is missing.* Its names are conv.weight, fc.bias, block1.x$"
    ):
        CLASSIFIER_KINDS["wide-resnet"].read(
            write_torch(tmp_path / "a.th", prefixed(_WEIGHTS, "") | {"block1.x": torch.ones(1)}), ""
        )
