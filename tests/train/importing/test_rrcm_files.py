"""Files of rRCM give the outputs of its official code; the published shapes load strictly; others are refused.

The bounds are those that come with the golden values.
"""

from ast import literal_eval
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.importing import rrcm_files
from purecert.train.importing.assemble import ImportSpec, Source, import_model
from purecert.train.importing.rrcm_files import Pretrained, read_rrcm_classifier, read_rrcm_pretrained
from purecert.train.networks.rrcm import presets
from purecert.train.networks.rrcm.classifier import RrcmClassifier, RrcmClassifierConfig
from purecert.train.networks.rrcm.vit import RrcmVit, RrcmVitConfig
from purecert.train.strict.state import build_empty
from support.checkpoint_files import prefixed, write_safetensors, write_torch
from support.golden import golden, shared

pytestmark = pytest.mark.shared

_NAME = "rrcm_vit_A"
_HEADS = 4  # of the golden network, whose heads are narrower than the published 64


def _write_folder(folder: Path, state: Mapping[str, Tensor], which: Pretrained = "nnet_ema") -> Path:
    folder.mkdir()
    write_torch(folder / f"{which}.pth", state)
    return folder


def _base() -> dict[str, Tensor]:
    return golden(_NAME).state("base_model.")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_pre_training_folder_gives_the_published_features(tmp_path: Path, prefix: str) -> None:
    network = read_rrcm_pretrained(_write_folder(tmp_path / "300000.ckpt", prefixed(_base(), prefix)), heads=_HEADS)
    assert network.config.image_size == golden(_NAME).config["image_size"]
    arrays, config = golden(_NAME).arrays, golden(_NAME).config
    assert (config["num_heads"], config["depth"]) == (network.config.heads, network.config.depth)
    for level in range(3):
        noisy, t = arrays["x_t"][level], float(arrays["t"][level, 0])
        x, times = network.precondition(noisy, t)
        torch.testing.assert_close(x, arrays["net_in"][level], atol=1e-5, rtol=0)
        torch.testing.assert_close(times.expand(2), arrays["net_t"][level], atol=0, rtol=1e-6)
        torch.testing.assert_close(network.represent(noisy, t), arrays["c"][level], atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(network.project(noisy, t), arrays["p"][level], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("normalises", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_fine_tuned_file_gives_the_published_outputs(tmp_path: Path, prefix: str, normalises: bool) -> None:
    path = write_torch(tmp_path / "n05consistency.pt", prefixed(golden(_NAME).state(), prefix))
    notes: list[str] = []
    classifier = read_rrcm_classifier(path, heads=_HEADS, normalises=normalises, note=notes.append)
    arrays = golden(_NAME).arrays
    feature, atol = ("feature_norm", 1e-4) if normalises else ("feature_no_norm", 3e-4)
    for level, sigma in enumerate((arrays["noise_aug"] / 2).tolist()):
        noisy = arrays["x0"] + arrays["noise_aug"][level] * arrays["noise"][level]
        torch.testing.assert_close(noisy, arrays["x_t"][level], atol=1e-5, rtol=0)
        grid = classifier.config.levels.grid(classifier.config.grid_points)
        assert grid.index(classifier.timestep(sigma)) == int(arrays["t_index"][level, 0])
        torch.testing.assert_close(classifier.feature(noisy, sigma), arrays[feature][level], atol=atol, rtol=1e-5)
        if not normalises:  # as config.logits_use says
            torch.testing.assert_close(classifier(noisy, sigma), arrays["logits"][level], atol=3e-4, rtol=1e-5)
    assert notes == [
        f"classifier's feature: the class token {'after' if normalises else 'without'} the final norm",
        "classifier's time: the nearest of 81 grid points to 2 sigma",
    ]


# --- published shapes

_PUBLISHED: dict[str, tuple[RrcmVitConfig, int]] = {
    "rrcm_cifar10_B": (presets.RRCM_CIFAR10_B, 91_425_282),
    "rrcm_imagenet_B": (presets.RRCM_IMAGENET_B, 106_776_066),
    "rrcm_imagenet_S": (presets.RRCM_IMAGENET_S, 25_185_282),
}


def _listed(name: str) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    lines = shared(f"research/checkpoint-keys/{name}.txt").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return {row[0]: (literal_eval(row[1]), getattr(torch, row[2])) for row in rows}


@pytest.mark.parametrize("name", _PUBLISHED)
def test_the_network_has_the_checkpoints_keys_and_shapes(name: str) -> None:
    config, elements = _PUBLISHED[name]
    state = build_empty(lambda: RrcmVit(config), name).state_dict()
    assert {key: (tuple(value.shape), value.dtype) for key, value in state.items()} == _listed(name)
    assert sum(value.numel() for value in state.values()) == elements


@pytest.mark.parametrize(
    "name", ["rrcm_imagenet_S", *(pytest.param(name, marks=pytest.mark.slow) for name in list(_PUBLISHED)[:2])]
)
def test_the_published_shapes_load_through_the_readers(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One element stands for every weight of its name: a file of 100 M of them would only be slow.
    state = {key: torch.ones((), dtype=kind).expand(shape) for key, (shape, kind) in _listed(name).items()}
    config, _ = _PUBLISHED[name]
    monkeypatch.setattr(rrcm_files, "read_weights", lambda path, note: state)
    network = read_rrcm_pretrained(_write_folder(tmp_path / "300000.ckpt", {}))
    assert network.config == config
    assert all(value.device.type == "cpu" for value in network.state_dict().values())
    head = {"linear_head.weight": torch.zeros(10, config.width), "linear_head.bias": torch.zeros(10)}
    monkeypatch.setattr(rrcm_files, "read_weights", lambda path, note: prefixed(state, "base_model.") | head)
    classifier = read_rrcm_classifier(tmp_path / "a.pt")
    assert classifier.config.network == config
    assert classifier.config.normalises == name.startswith("rrcm_imagenet")


# --- as a model


def _small_file(folder: Path) -> Path:
    """Write a file of an image size and a width of heads that are published, and random weights."""
    config = RrcmVitConfig(
        image_size=32, patch_size=8, channels=3, width=64, depth=1, heads=1, projection_hidden=8, projection_width=8
    )
    torch.manual_seed(0)
    weights = RrcmClassifier(RrcmClassifierConfig(network=config, classes=10)).state_dict()
    return write_torch(folder / "small.pt", weights)


def test_a_fine_tuned_file_is_imported_with_every_choice_said(tmp_path: Path) -> None:
    path = _small_file(tmp_path)
    model = import_model(ImportSpec(purifier=Source.parse("identity"), classifier=Source.parse(f"rrcm={path}")))
    assert (model.input_shape, model.classes) == ((3, 32, 32), 10)
    said = {
        "attention: 1 heads of width 64",
        "classifier's feature: the class token without the final norm",
        "classifier's time: the nearest of 81 grid points to 2 sigma",
        "classifier's mean: 0.5,0.5,0.5 (rRCM's scale, [-1, 1])",
    }
    assert said <= set(model.choices)
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    expected = read_rrcm_classifier(path)(images, 0.25)
    torch.testing.assert_close(model.classifier(model.preprocessing(images), 0.25), expected)


def test_another_scale_or_size_before_it_is_refused(tmp_path: Path) -> None:
    spec = ImportSpec(purifier=Source.parse("identity"), classifier=Source.parse(f"rrcm={_small_file(tmp_path)}"))
    with pytest.raises(InputError, match="mean"):
        import_model(replace(spec, mean=(0.4,) * 3))
    with pytest.raises(InputError, match="expected images of 32 pixels"):
        import_model(replace(spec, image_size=64))


# --- refusals


def test_which_network_of_a_folder_is_meant_can_be_said(tmp_path: Path) -> None:
    folder = _write_folder(tmp_path / "1.ckpt", _base())
    other = {key: value + 1 if value.is_floating_point() else value for key, value in _base().items()}
    write_torch(folder / "target_model.pth", other)
    notes: list[str] = []
    target = read_rrcm_pretrained(folder, "target_model", heads=_HEADS, note=notes.append)
    assert torch.equal(target.cls_token, other["cls_token"])
    assert notes == ["weights of 1.ckpt: those of target_model.pth"]
    with pytest.raises(InputError, match=r"expected nnet\.pth in it, found none; give one STEP\.ckpt folder"):
        read_rrcm_pretrained(folder, "nnet", heads=_HEADS)


def _without(name: str) -> dict[str, Tensor]:
    return {key: value for key, value in golden(_NAME).state().items() if key != name}


@pytest.mark.parametrize(
    ("state", "choices", "words"),
    [
        (lambda: _without("base_model.cls_token"), {}, r"base_model\.cls_token' is missing"),
        (lambda: _without("base_model.blocks.1.attn.qkv.weight"), {}, r"blocks\.1\.attn\.qkv\.weight' is missing"),
        (lambda: _without("linear_head.weight"), {}, r"linear_head\.weight' is missing"),
        (lambda: _without("linear_head.bias"), {}, r"linear_head\.bias' is missing"),
        (lambda: golden(_NAME).state() | {"more": torch.zeros(1)}, {}, r"unknown weight 'more'"),
        (lambda: golden(_NAME).state() | {"base_model.pos_embed": torch.zeros(1, 17, 64)}, {}, "expected shape"),
        (lambda: golden(_NAME).state() | {"base_model.cls_token": torch.zeros(1, 1, 0)}, {}, "positive sizes"),
        (lambda: golden(_NAME).state() | {"base_model.norm.weight": torch.full((64,), torch.nan)}, {}, "not finite"),
        (lambda: golden(_NAME).state() | {"linear_head.weight": torch.zeros(1, 64)}, {}, "at least 2 classes"),
        (lambda: golden(_NAME).state() | {"linear_head.weight": torch.zeros(())}, {}, "is missing or no matrix"),
        (lambda: golden(_NAME).state() | {"base_model.cls_token": torch.zeros(64)}, {}, "has no 3 axes"),
        (_base, {}, r"base_model\.cls_token' is missing"),
        (lambda: golden(_NAME).state(), {"normalises": None}, "images of 32 and 224 pixels, found 16"),
        (lambda: golden(_NAME).state(), {"heads": 5}, "divide the width"),
        (lambda: golden(_NAME).state(), {"grid_points": 2.5}, "expected grid_points as a whole number"),
        (lambda: golden(_NAME).state(), {"grid_points": 10**12}, "expected grid_points as a whole number"),
        (lambda: golden(_NAME).state(), {"normalises": "no"}, "expected normalises True, False or None"),
        (lambda: golden(_NAME).state(), {"heads": 0}, "positive sizes"),
        (lambda: {"base_model.cls_token": torch.zeros(1, 1, 40)}, {}, "pos_embed' is missing"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, state: Any, choices: dict[str, Any], words: str) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", state())
    with pytest.raises(InputError, match=words):
        read_rrcm_classifier(path, **{"heads": _HEADS, "normalises": False, **choices})


def test_a_width_that_published_heads_do_not_divide_asks_for_heads(tmp_path: Path) -> None:
    state = golden(_NAME).state() | {"base_model.cls_token": torch.zeros(1, 1, 72)}
    with pytest.raises(InputError, match="heads of 64 divide, as published, found 72; say heads"):
        read_rrcm_classifier(write_torch(tmp_path / "a.pt", state))
