"""AdmUNet gives the published networks' outputs, from their weights under their keys."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from purecert.train.networks.adm.blocks import AdmResBlock, QkvOrder
from purecert.train.networks.adm.unet import AdmUNet, AdmUNetConfig
from purecert.train.purifiers.karras import boundary_scales
from support.golden import Golden, golden, randomise

_CONSISTENCY = ["cm_unet_cond_A", "cm_unet_uncond_A"]
_ATOL = dict.fromkeys(_CONSISTENCY, 5e-4) | dict.fromkeys(
    ["improved_diffusion_unet_A", "guided_diffusion_unet_A"], 3e-4
)
_RTOL = 1e-5  # both bounds come with the golden values
_ORDER: dict[str, QkvOrder] = {name: "three-heads-dim" if name in _CONSISTENCY else "heads-three-dim" for name in _ATOL}


def _config(values: Golden, order: QkvOrder) -> AdmUNetConfig:
    upstream = values.config
    same = {key: value for key, value in upstream.items() if key in AdmUNetConfig.__dataclass_fields__}
    changed = {
        "attention_resolutions": tuple(
            upstream["image_size"] // factor for factor in upstream["attention_resolutions"]
        ),
        "channel_mult": tuple(upstream["channel_mult"]),
        "num_classes": upstream["num_classes"] or 0,
        "qkv_order": order,
    }
    return AdmUNetConfig(**(same | changed))


def _load(name: str, order: QkvOrder | None = None) -> AdmUNet:
    """Return the published network, in another qkv order where one is given."""
    values = golden(name)
    network = AdmUNet(_config(values, order or _ORDER[name]))
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    state = values.state()
    if order is not None:  # the same numbers; a 1x1 convolution of an image or of a sequence
        state = {key: value.reshape(shapes[key]) for key, value in state.items()}
    network.load_state_dict(state, strict=True)
    return network.eval().requires_grad_(False)


@pytest.mark.shared
@pytest.mark.parametrize("name", _ATOL)
def test_the_network_gives_the_published_outputs(name: str) -> None:
    arrays, network = golden(name).arrays, _load(name)
    inputs = arrays["net_in"] if name in _CONSISTENCY else arrays["x_t"]
    for x, t, expected in zip(inputs, arrays["net_t"], arrays["net_out"], strict=True):
        torch.testing.assert_close(network(x, t, arrays.get("y")), expected, atol=_ATOL[name], rtol=_RTOL)


@pytest.mark.shared
@pytest.mark.parametrize("name", _CONSISTENCY)
@pytest.mark.parametrize(("form", "t_min"), [("denoised", 0.002), ("denoised_edm_form", 0.0)])
def test_both_forms_give_the_published_images(name: str, form: str, t_min: float) -> None:
    arrays, network = golden(name).arrays, _load(name)
    for level in range(len(arrays[form])):
        for row in range(2):  # the noise may differ within a batch, and a purifier has one level
            x, sigma = arrays["x"][level, row : row + 1], arrays["sigma"][level, row : row + 1]
            scales = boundary_scales(float(sigma), 0.5, t_min)
            classes = arrays["y"][row : row + 1] if "y" in arrays else None
            image = scales.skip * x + scales.out * network(scales.inp * x, 250 * sigma.log(), classes)
            torch.testing.assert_close(image, arrays[form][level, row : row + 1], atol=2e-4, rtol=_RTOL)


@pytest.mark.shared
@pytest.mark.parametrize("name", _ATOL)
def test_the_other_qkv_order_is_far_off(name: str) -> None:
    arrays = golden(name).arrays
    wrong = _load(name, "heads-three-dim" if name in _CONSISTENCY else "three-heads-dim")
    inputs = arrays["net_in"] if name in _CONSISTENCY else arrays["x_t"]
    found = wrong(inputs[0], arrays["net_t"][0], arrays.get("y"))
    assert (found - arrays["net_out"][0]).abs().max() > 1000 * _ATOL[name]


@pytest.mark.shared
@pytest.mark.parametrize("name", _ATOL)
def test_published_weights_in_the_other_qkv_order_are_refused(name: str) -> None:
    values = golden(name)
    wrong = AdmUNet(_config(values, "heads-three-dim" if name in _CONSISTENCY else "three-heads-dim"))
    with pytest.raises(RuntimeError, match=r"size mismatch for middle_block\.1\.qkv\.weight"):
        wrong.load_state_dict(values.state(), strict=True)


@pytest.mark.shared
@pytest.mark.parametrize("name", _ATOL)
def test_weights_that_do_not_fit_are_refused(name: str) -> None:
    values, key = golden(name), "out.2.bias"
    network, state = AdmUNet(_config(values, _ORDER[name])), values.state()
    bias = state.pop(key)
    for changed, words in (
        (state, r'Missing key\(s\) in state_dict: "out\.2\.bias"'),
        (state | {"out.2.offset": bias}, r'Unexpected key\(s\) in state_dict: "out\.2\.offset"'),
        (state | {key: bias[:1]}, r"size mismatch for out\.2\.bias"),
    ):
        with pytest.raises(RuntimeError, match=words):
            network.load_state_dict(changed, strict=True)


_PLAIN = AdmUNetConfig(
    image_size=8,
    model_channels=32,
    num_res_blocks=1,
    attention_resolutions=(4,),
    channel_mult=(1, 2),
    qkv_order="heads-three-dim",
    in_channels=2,
    num_heads=2,
)


def _variants() -> dict[str, AdmUNetConfig]:
    return {
        "plain": _PLAIN,
        "shift-only": replace(_PLAIN, use_scale_shift_norm=False),
        "means": replace(_PLAIN, conv_resample=False, channel_mult=(2, 1, 1)),
        "block-resampling": replace(_PLAIN, resblock_updown=True, num_head_channels=16, qkv_order="three-heads-dim"),
        "token": replace(_PLAIN, class_token=True, attention_resolutions=()),
    }


@pytest.mark.parametrize("config", _variants().values(), ids=_variants())
class TestEveryVariant:
    def test_one_time_serves_the_whole_batch(self, config: AdmUNetConfig) -> None:
        network = _random(config)
        x = torch.randn(5, 2, 8, 8)
        torch.testing.assert_close(network(x, torch.full((1,), 7.5)), network(x, torch.full((5,), 7.5)))

    def test_half_weights_with_float_norms_stay_close(self, config: AdmUNetConfig) -> None:
        network = _random(config)
        halved = _with_float_norms(copy.deepcopy(network).half())
        x, time = torch.randn(3, 2, 8, 8), torch.full((1,), 7.5)
        # Half precision rounds by 5e-4; some tens of layers in a row stay within a hundred times that.
        torch.testing.assert_close(halved(x.half(), time).float(), network(x, time), atol=0.05, rtol=0.05)

    def test_the_time_path_can_be_removed(self, config: AdmUNetConfig) -> None:
        network = _random(config)
        x, time = torch.randn(3, 2, 8, 8), torch.full((1,), 7.5)
        expected = network(x, time)
        torch.testing.assert_close(_without_time(network, time)(x), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(config, id=name, marks=[] if name == "block-resampling" else [pytest.mark.nightly])
        for name, config in _variants().items()
    ],
)
def test_every_variant_exports_with_a_free_batch_size(config: AdmUNetConfig) -> None:
    network = _random(config)
    time = torch.full((1,), 7.5)
    program = torch.export.export(
        network, (torch.randn(2, 2, 8, 8), time), dynamic_shapes=({0: torch.export.Dim("batch")}, None)
    )
    x = torch.randn(7, 2, 8, 8)
    torch.testing.assert_close(program.module()(x, time), network(x, time))


def _random(config: AdmUNetConfig) -> AdmUNet:
    torch.manual_seed(0)
    network = AdmUNet(config).eval().requires_grad_(False)
    randomise(network)
    if network.class_token is not None:
        nn.init.normal_(network.class_token)
    return network


def _without_time(network: AdmUNet, time: Tensor) -> AdmUNet:
    embedding = network.embed(time)
    for block in network.modules():
        if isinstance(block, AdmResBlock):
            _absorb(block, block.modulation(embedding)[0])
            block.emb_layers = None
    network.time_embed = None
    return network


def _absorb(block: AdmResBlock, modulation: Tensor) -> None:
    """Put what the embedding does into the norm, or into the convolution before it."""
    if not block.scale_shift:
        block.get_parameter("in_layers.2.bias").add_(modulation)
        return
    scale, shift = modulation.chunk(2)
    weight, bias = block.get_parameter("out_layers.0.weight"), block.get_parameter("out_layers.0.bias")
    weight.mul_(1 + scale)
    bias.mul_(1 + scale).add_(shift)


class _FloatNorm(nn.Module):
    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm.float()

    def forward(self, x: Tensor) -> Tensor:
        normalised: Tensor = self.norm(x.float())
        return normalised.to(x.dtype)


def _with_float_norms(network: AdmUNet) -> AdmUNet:
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.GroupNorm):
            parent = network.get_submodule(name.rpartition(".")[0])
            parent._modules[name.rpartition(".")[2]] = _FloatNorm(module)
    return network


def test_a_network_without_time_path_exports_with_a_free_batch_size() -> None:
    network = _without_time(_random(_PLAIN), torch.full((1,), 7.5))
    program = torch.export.export(
        network, (torch.randn(2, 2, 8, 8),), dynamic_shapes={"x": {0: torch.export.Dim("batch")}}
    )
    x = torch.randn(7, 2, 8, 8)
    torch.testing.assert_close(program.module()(x), network(x))


def test_each_image_has_its_own_class_and_time() -> None:
    network = _random(replace(_PLAIN, num_classes=3))
    x, times, classes = torch.randn(3, 2, 8, 8), torch.tensor([1.0, 50.0, 200.0]), torch.tensor([2, 0, 1])
    together = network(x, times, classes)
    for i in range(3):
        one = slice(i, i + 1)
        torch.testing.assert_close(together[one], network(x[one], times[one], classes[one]))
    assert (together - network(x, times, classes.roll(1))).abs().amax(dim=(1, 2, 3)).min() > 0.01


def test_an_untrained_network_returns_zeros() -> None:
    network = AdmUNet(_PLAIN).eval()
    assert not network(torch.randn(2, 2, 8, 8), torch.ones(1)).any()


_TIME, _CLASSES = torch.ones(1), torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("num_classes", "times", "classes", "words"),
    [
        (0, None, None, "needs times"),
        (0, _TIME, _CLASSES, "has no classes"),
        (3, _TIME, None, "one of 3 classes per image"),
    ],
)
def test_inputs_that_the_network_cannot_use_are_refused(
    num_classes: int, times: Tensor | None, classes: Tensor | None, words: str
) -> None:
    network = AdmUNet(replace(_PLAIN, num_classes=num_classes))
    with pytest.raises(ValueError, match=words):
        network(torch.zeros(2, 2, 8, 8), times, classes)


def test_without_a_time_path_there_is_nothing_to_embed() -> None:
    network = _without_time(_random(_PLAIN), _TIME)
    with pytest.raises(ValueError, match="takes no times and no classes"):
        network(torch.zeros(2, 2, 8, 8), _TIME)
    with pytest.raises(ValueError, match="nothing to embed with"):
        network.embed(_TIME)
    with pytest.raises(ValueError, match="no modulation of its own"):
        next(m for m in network.modules() if isinstance(m, AdmResBlock)).modulation(torch.zeros(1, 128))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_channels": 48}, "multiple of 32"),
        ({"model_channels": 1, "channel_mult": (32,), "attention_resolutions": ()}, "must be even"),
        ({"image_size": 10, "channel_mult": (1, 1, 1)}, "halved 2 times"),
        ({"channel_mult": ()}, "at least one resolution"),
        ({"num_res_blocks": 0}, "positive sizes"),
        ({"attention_resolutions": (2,)}, r"heights of activations, among \[8, 4\], got 2"),
        ({"num_heads": 0}, "heads need positive sizes"),
        ({"num_head_channels": 0}, "heads need positive sizes"),
        ({"num_head_channels": 24}, "64 channels cannot be divided"),
        ({"attention_resolutions": (8,), "num_heads": 64}, "32 channels cannot be divided"),
        ({"attention_resolutions": (), "num_heads": 3}, "64 channels cannot be divided"),
        ({"num_classes": 3, "class_token": True}, "0 with class_token"),
        ({"num_classes": -1}, "num_classes must be >= 0"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_an_impossible_shape_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(_PLAIN, **change)  # type: ignore[arg-type]


def test_the_qkv_order_must_be_said() -> None:
    with pytest.raises(TypeError, match="qkv_order"):
        AdmUNetConfig(  # type: ignore[call-arg]
            image_size=8, model_channels=32, num_res_blocks=1, attention_resolutions=(), channel_mult=(1,)
        )
