"""SongUNet gives the published networks' outputs, from their weights under their keys."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from purecert.train.networks.song.blocks import UNetBlock, group_norm
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from purecert.train.purifiers.karras import boundary_scales
from support.golden import Golden, golden, randomise, table

_NETWORKS = ["edm_ddpmpp_A", "edm_ncsnpp_A"]  # positional, box filter; Fourier, residual pyramid, FIR filter
_ATOL, _RTOL = 2e-5, 1e-5  # the bounds that come with the golden values


def _load(values: Golden) -> SongUNet:
    fields = SongUNetConfig.__dataclass_fields__
    chosen = {k: tuple(v) if isinstance(v, list) else v for k, v in values.config.items() if k in fields}
    network = SongUNet(SongUNetConfig(in_channels=3, out_channels=3, **chosen))
    network.load_state_dict(values.state("model."), strict=True)
    return network.eval().requires_grad_(False)


def _assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=_ATOL, rtol=_RTOL)


@pytest.mark.shared
@pytest.mark.parametrize("name", _NETWORKS)
def test_the_network_gives_the_published_outputs(name: str) -> None:
    values = golden(name)
    network = _load(values)
    for x, t, expected in zip(*(values.arrays[key] for key in ("net_in", "net_t", "net_out")), strict=True):
        _assert_close(network(x, t), expected)


@pytest.mark.shared
@pytest.mark.parametrize("name", _NETWORKS)
@pytest.mark.parametrize("augmented", [False, True])
def test_the_edm_form_gives_the_published_images(name: str, augmented: bool) -> None:
    values = golden(name)
    network = _load(values)
    labels = values.arrays["augment_labels"] if augmented else None
    expected = values.arrays["denoised_augment" if augmented else "denoised"]
    for level in range(len(expected)):
        for row in range(2):  # the noise may differ within a batch, and a purifier has one level
            x, sigma = values.arrays["x"][level, row : row + 1], float(values.arrays["sigma"][level, row])
            scales = boundary_scales(sigma, 0.5, 0.0)
            t = torch.tensor([sigma]).log() / 4
            raw = network(scales.inp * x, t, augment_labels=None if labels is None else labels[row : row + 1])
            _assert_close(scales.skip * x + scales.out * raw, expected[level, row : row + 1])


@pytest.mark.shared
def test_a_block_wider_than_32_groups_gives_the_published_output() -> None:
    values = golden("blocks_A")
    shape = values.config["edm_block"]
    block = UNetBlock((shape["in_channels"], shape["out_channels"]), shape["emb_channels"], taps=(1, 1), dropout=0.0)
    block.load_state_dict(values.state("edm_block."), strict=True)
    found = block.eval()(values.arrays["edm_block.x"], values.arrays["edm_block.emb"])
    torch.testing.assert_close(found, values.arrays["edm_block.out"], atol=1e-4, rtol=1e-5)


@pytest.mark.shared
def test_normalisation_groups_follow_the_published_table() -> None:
    rows = [row for row in table("group_norm") if row["family"] == "NVlabs/edm SongUNet"]
    assert rows
    for row in rows:
        norm = group_norm(int(row["channels"]))
        assert (norm.num_groups, norm.eps) == (int(row["groups"]), float(row["eps"]))


def _variants() -> dict[str, SongUNetConfig]:
    plain = SongUNetConfig(
        img_resolution=8,
        in_channels=2,
        out_channels=3,
        model_channels=8,
        channel_mult=(1, 2),
        num_blocks=1,
        attn_resolutions=(4,),
    )
    return {
        "plain": plain,
        "residual": replace(plain, embedding_type="fourier", encoder_type="residual"),
        "skip": replace(
            plain,
            channel_mult=(1, 1, 2),
            encoder_type="skip",
            decoder_type="skip",
            resample_filter=(1, 3, 3, 1),
        ),
        "patches": replace(plain, channel_mult=(1,), bottom_attention=False, patch_size=2),
    }


@pytest.mark.parametrize("config", _variants().values(), ids=_variants())
class TestEveryVariant:
    def test_one_noise_label_serves_the_whole_batch(self, config: SongUNetConfig) -> None:
        network = _random(config)
        x = torch.randn(5, 2, 8, 8)
        torch.testing.assert_close(network(x, torch.full((1,), 0.3)), network(x, torch.full((5,), 0.3)))

    def test_half_weights_with_float_norms_stay_close(self, config: SongUNetConfig) -> None:
        network = _random(config)
        halved = _with_float_norms(copy.deepcopy(network).half())
        x, label = torch.randn(3, 2, 8, 8), torch.full((1,), 0.1)
        # Half precision rounds by 5e-4; some tens of layers in a row stay within a hundred times that.
        torch.testing.assert_close(halved(x.half(), label).float(), network(x, label), atol=0.05, rtol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(config, id=name, marks=[] if name == "residual" else [pytest.mark.nightly])
        for name, config in _variants().items()
    ],
)
def test_every_variant_exports_with_a_free_batch_size(config: SongUNetConfig) -> None:
    network = _random(config)
    label = torch.full((1,), 0.3)
    program = torch.export.export(
        network, (torch.randn(2, 2, 8, 8), label), dynamic_shapes=({0: torch.export.Dim("batch")}, None)
    )
    x = torch.randn(7, 2, 8, 8)
    torch.testing.assert_close(program.module()(x, label), network(x, label))


def _random(config: SongUNetConfig) -> SongUNet:
    torch.manual_seed(0)
    network = SongUNet(config).eval().requires_grad_(False)
    randomise(network)
    return network


class _FloatNorm(nn.Module):
    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm.float()

    def forward(self, x: Tensor) -> Tensor:
        normalised: Tensor = self.norm(x.float())
        return normalised.to(x.dtype)


def _with_float_norms(network: SongUNet) -> SongUNet:
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.GroupNorm):
            parent = network.get_submodule(name.rpartition(".")[0])
            parent._modules[name.rpartition(".")[2]] = _FloatNorm(module)
    return network


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_channels": 6}, "multiple of 4"),
        ({"img_resolution": 10, "channel_mult": (1, 1, 1)}, "halved 2 times"),
        ({"resample_filter": (1, 2, 1)}, r"\(1, 3, 3, 1\)"),
        ({"dropout": 1.0}, "dropout"),
        ({"num_blocks": 33}, "at most 32 blocks"),
        ({"channel_mult": (1,) * 13, "img_resolution": 2**12}, "each of 12 resolutions"),
        ({"label_dim": -1}, "label widths at least 0"),
        ({"channel_mult_emb": 0}, "embedding widths must be positive"),
        ({"channel_mult": ()}, "at least one resolution"),
    ],
)
def test_an_impossible_shape_is_refused(change: dict[str, object], words: str) -> None:
    possible = SongUNetConfig(img_resolution=8, in_channels=1, out_channels=1, channel_mult=(1,))
    with pytest.raises(ValueError, match=words):
        replace(possible, **change)  # type: ignore[arg-type]
