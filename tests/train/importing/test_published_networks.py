"""Files as their publishers write them become networks and purifiers that give the published outputs.

The bounds are those that come with the golden values.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.train.importing.network_kinds import NETWORK_KINDS
from purecert.train.networks.adm.unet import AdmUNet
from purecert.train.purifiers.base import OneStepPurifier, apply_step
from support.checkpoint_files import (
    diffusers_state,
    parallel,
    write_diffusers,
    write_safetensors,
    write_torch,
)
from support.golden import golden, table
from support.published_networks import (
    PUBLISHED,
    import_published,
    import_purifier,
    network_fields,
    published_state,
    write_published,
)

pytestmark = [pytest.mark.shared, pytest.mark.slow]  # whole published networks

_RTOL = 1e-5
_UNCONDITIONAL = [name for name in PUBLISHED if name != "cm_unet_cond_A"]
_DIFFUSION = ["improved_diffusion_unet_A", "guided_diffusion_unet_A"]
_ADM = ["cm_unet_uncond_A", *_DIFFUSION]
_EDM = ["edm_ddpmpp_A", "edm_ncsnpp_A"]


def _one_of(names: list[str]) -> list[Any]:
    """Return the first as it is and the others nightly: every network is read in CI by the first test below."""
    return [names[0], *(pytest.param(name, marks=pytest.mark.nightly) for name in names[1:])]


def _images(name: str, key: str) -> Tensor:
    """Return golden images as [level, batch, C, H, W]."""
    images = golden(name).arrays[key]
    return images.movedim(-1, 2) if name.startswith("jcm") else images


def _network(purifier: nn.Module) -> nn.Module:
    assert isinstance(purifier, OneStepPurifier)
    return purifier.network


def _assert_published(name: str, network: nn.Module, *classes: Tensor) -> None:
    """Compare the raw network with the golden file, one noise level after another."""
    inputs, outputs = _images(name, "x_t" if name in _DIFFUSION else "net_in"), _images(name, "net_out")
    for x, t, expected in zip(inputs, golden(name).arrays["net_t"], outputs, strict=True):
        torch.testing.assert_close(network(x, t, *classes), expected, atol=PUBLISHED[name].atol, rtol=_RTOL)


@pytest.mark.parametrize("name", _UNCONDITIONAL)
def test_a_file_of_the_publisher_gives_the_published_outputs(tmp_path: Path, name: str) -> None:
    _assert_published(name, _network(import_published(tmp_path, name).purifier))


@pytest.mark.parametrize("name", _one_of(_ADM))
def test_weights_inside_a_trainers_file_give_the_published_outputs(tmp_path: Path, name: str) -> None:
    path = write_torch(tmp_path / "trained.pth.tar", parallel(published_state(name)))
    _assert_published(name, _network(import_published(tmp_path, name, path).purifier))


@pytest.mark.parametrize("name", [*_one_of(_ADM), *_one_of(_EDM)])
def test_the_same_weights_as_safetensors_give_the_published_outputs(tmp_path: Path, name: str) -> None:
    path = write_safetensors(tmp_path / "a.safetensors", published_state(name))
    _assert_published(name, _network(import_published(tmp_path, name, path).purifier))


def test_flax_weights_may_be_kept_as_safetensors_under_our_names(tmp_path: Path) -> None:
    state = _network(import_published(tmp_path, "jcm_ncsnpp_A").purifier).state_dict()
    path = write_safetensors(tmp_path / "a.safetensors", state)
    _assert_published("jcm_ncsnpp_A", _network(import_published(tmp_path, "jcm_ncsnpp_A", path).purifier))


@pytest.mark.parametrize("name", _one_of(_DIFFUSION))
def test_any_network_of_the_adm_family_can_be_described(tmp_path: Path, name: str) -> None:
    described = network_fields(golden(name)) | {"qkv_order": "heads-three-dim"}
    path, changes = write_published(tmp_path, name), {"learns_variance": True}
    model = import_purifier("adm", path, described, family="ddpm", changes=changes)
    _assert_published(name, _network(model.purifier))


@pytest.mark.parametrize("name", _one_of(_EDM))
def test_any_network_of_the_song_family_can_be_described(tmp_path: Path, name: str) -> None:
    described = network_fields(golden(name)) | {"in_channels": 3, "out_channels": 3}
    state = {key.removeprefix("model."): value for key, value in published_state(name).items()}
    model = import_purifier("song-unet", write_torch(tmp_path / "a.pt", state), described)
    _assert_published(name, _network(model.purifier))


def test_a_folder_of_diffusers_gives_the_published_outputs(tmp_path: Path) -> None:
    name = "improved_diffusion_unet_A"
    state = diffusers_state(published_state(name), golden(name).config["num_heads"])
    folder = write_diffusers(tmp_path / "unet", state, golden(name).config["num_heads"])
    _assert_published(name, NETWORK_KINDS["diffusers"].read(folder, {}))


# --- in the form of their purifiers


def _answer(network: nn.Module, purifier: nn.Module, x: Tensor, sigma: float) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return what the purifier makes of ``x``, and what it gave its network."""
    seen: list[tuple[Tensor, ...]] = []
    hook = network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    image: Tensor = purifier(x, sigma)
    hook.remove()
    return image, seen[0]


def _assert_forms_agree(
    name: str, key: str, purifier: nn.Module, prepare: Callable[[int], None] = lambda row: None
) -> None:
    """Compare purified images one by one, since the images of a batch may differ in noise and in class."""
    network, sigmas, times = _network(purifier), golden(name).arrays["sigma"], golden(name).arrays["net_t"]
    for level, row in [(level, row) for level in range(3) for row in range(2)]:
        one = (level, slice(row, row + 1))
        prepare(row)
        # Images on [-1, 1] have twice the noise of pixels; both factors of two are exact.
        found, inputs = _answer(network, purifier, _images(name, "x")[one], float(sigmas[level, row]) / 2)
        torch.testing.assert_close(inputs[0], _images(name, "net_in")[one], atol=1e-5, rtol=_RTOL)
        torch.testing.assert_close(inputs[1], times[one], atol=0, rtol=1e-6)
        torch.testing.assert_close(found, _images(name, key)[one], atol=PUBLISHED[name].wrapped_atol, rtol=_RTOL)


_FORMS = [
    ("jcm_ncsnpp_A", "consistency", "distiller"),
    pytest.param("jcm_ncsnpp_A", "edm", "denoiser", marks=pytest.mark.nightly),
    pytest.param("cm_unet_uncond_A", "consistency", "denoised", marks=pytest.mark.nightly),
    ("cm_unet_uncond_A", "edm", "denoised_edm_form"),
    ("edm_ddpmpp_A", "edm", "denoised"),
    pytest.param("edm_ncsnpp_A", "edm", "denoised", marks=pytest.mark.nightly),
]


@pytest.mark.parametrize(("name", "family", "key"), _FORMS)
def test_a_purifier_gives_the_published_images(tmp_path: Path, name: str, family: str, key: str) -> None:
    model = import_published(tmp_path, name, family=family, time_rule="exact")
    _assert_forms_agree(name, key, model.purifier)


class _Augmented(nn.Module):
    def __init__(self, network: nn.Module, labels: Tensor) -> None:
        super().__init__()
        self.network, self.labels = network, labels

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        answer: Tensor = self.network(x, t, None, self.labels)
        return answer


@pytest.mark.parametrize("name", _EDM)
def test_augmentation_labels_have_their_published_effect(tmp_path: Path, name: str) -> None:
    purifier = import_published(tmp_path, name, time_rule="exact").purifier
    assert isinstance(purifier, OneStepPurifier)
    arrays = golden(name).arrays
    for level, row in [(level, row) for level in range(3) for row in range(2)]:
        one = slice(row, row + 1)
        network = _Augmented(purifier.network, arrays["augment_labels"][one])
        found = apply_step(network, purifier.step(float(arrays["sigma"][level, row]) / 2), arrays["x"][level, one])
        torch.testing.assert_close(found, arrays["denoised_augment"][level, one], atol=2e-5, rtol=_RTOL)


@pytest.mark.parametrize("clip", [None, False])
@pytest.mark.parametrize(("name", "rule"), [(_DIFFUSION[0], "cosine_4000"), (_DIFFUSION[1], "linear_1000")])
def test_a_ddpm_predicts_the_published_clean_images(tmp_path: Path, name: str, rule: str, clip: bool | None) -> None:
    purifier = import_published(tmp_path, name, clip=clip).purifier
    expected = _images(name, "pred_xstart_unclipped" if clip is False else "pred_xstart_clipped")
    rows = {int(row["t_or_index"]): row for row in table("timesteps") if row["rule"] == f"dds_loop_{rule}"}
    times, labels = golden(name).arrays["t"], golden(name).arrays["net_t"]
    for level in range(3):
        row = rows[int(times[level, 0])]
        ratio = float(row["sigma_on_minus1_1"])
        noisy = _images(name, "x_t")[level] * math.hypot(1, ratio)  # x0 plus noise, before q_sample scales both
        found, inputs = _answer(_network(purifier), purifier, noisy, float(row["sigma"]))
        torch.testing.assert_close(inputs[0], _images(name, "x_t")[level], atol=1e-5, rtol=_RTOL)
        torch.testing.assert_close(inputs[1], labels[level, :1], atol=0, rtol=1e-6)
        torch.testing.assert_close(found, expected[level], atol=3e-4 * max(1, ratio), rtol=_RTOL)


# --- class-conditional networks


def test_a_conditional_file_is_read_as_a_conditional_network(tmp_path: Path) -> None:
    name = "cm_unet_cond_A"
    read = NETWORK_KINDS[PUBLISHED[name].kind].read
    network = read(write_published(tmp_path, name), network_fields(golden(name)))
    _assert_published(name, network, golden(name).arrays["y"])


def test_the_imported_token_is_the_mean_class(tmp_path: Path) -> None:
    network = _network(import_published(tmp_path, "cm_unet_cond_A").purifier)
    assert isinstance(network, AdmUNet)
    assert network.class_token is not None
    expected = published_state("cm_unet_cond_A")["label_emb.weight"].double().mean(dim=0).float()
    torch.testing.assert_close(network.class_token, expected, atol=1e-7, rtol=1e-6)
    assert "label_emb.weight" not in network.state_dict()


@pytest.mark.parametrize(("family", "key"), [("consistency", "denoised"), ("edm", "denoised_edm_form")])
def test_a_class_in_the_tokens_place_gives_the_published_images(tmp_path: Path, family: str, key: str) -> None:
    name = "cm_unet_cond_A"
    purifier = import_published(tmp_path, name, family=family, time_rule="exact").purifier
    token, classes = _network(purifier).get_parameter("class_token"), golden(name).arrays["y"]

    def take_class(row: int) -> None:
        token.copy_(published_state(name)["label_emb.weight"][classes[row]])

    _assert_forms_agree(name, key, purifier, take_class)


# --- the order of queries, keys and values


def _other_order(name: str) -> tuple[str, dict[str, Tensor]]:
    """Return the other order, and the same weights in the shape that it is published with."""
    is_consistency, state = name.startswith("cm"), published_state(name)
    for key in [key for key in state if key.endswith(("qkv.weight", "proj_out.weight"))]:
        state[key] = state[key].flatten(1)[..., None] if is_consistency else state[key][..., None]
    return "heads-three-dim" if is_consistency else "three-heads-dim", state


@pytest.mark.parametrize("name", _ADM)
def test_weights_in_the_other_order_are_refused_by_their_shape(tmp_path: Path, name: str) -> None:
    described = network_fields(golden(name)) | {"qkv_order": _other_order(name)[0]}
    with pytest.raises(InputError, match=r"weight '.*\.qkv\.weight': expected shape"):
        import_purifier("adm", write_published(tmp_path, name), described)


@pytest.mark.parametrize("name", _ADM)
def test_the_other_order_is_far_from_the_published_outputs(tmp_path: Path, name: str) -> None:
    order, state = _other_order(name)
    path = write_torch(tmp_path / "other.pt", state)
    network = NETWORK_KINDS["adm"].read(path, network_fields(golden(name)) | {"qkv_order": order})
    found = network(_images(name, "x_t" if name in _DIFFUSION else "net_in")[0], golden(name).arrays["net_t"][0])
    assert (found - _images(name, "net_out")[0]).abs().max() > 1000 * PUBLISHED[name].atol
