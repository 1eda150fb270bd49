"""Folding at a fixed sigma changes nothing but the last bits, and leaves nothing to compute from sigma."""

import copy

import onnx
import pytest
import torch
from torch import nn

from purecert.export.fusing.fold import fold
from purecert.export.fusing.fold_convolutions import fold_batch_norms
from purecert.export.fusing.fuse import FusedModel, fuse, graph_inputs
from purecert.export.graph.program import export_program, onnx_bytes
from purecert.train.models.checkpoints import Model
from purecert.train.networks.plain_denoisers import Ffdnet, PlainDenoiserConfig
from purecert.train.purifiers.gaussian import GaussianConfig, GaussianPurifier
from support.small_models import CLASSIFIERS, PURIFIERS, every_purifier, preprocessing, small_model

_SIGMA = 0.25


def _inputs(model: Model, rows: int = 6) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(-200, 450, (rows, *model.input_shape), generator=generator).float()
    noises = [torch.randint(-600, 600, (rows, k, *model.input_shape), generator=generator).float()
              for k in model.purifier.noise_inputs(_SIGMA)]  # fmt: skip
    return [pixels, *noises]


def _assert_same(folded: FusedModel, fused: FusedModel, model: Model) -> None:
    """Assert agreement to 1e-5 of the largest logit, in FP32."""
    inputs = _inputs(model)
    with torch.inference_mode():
        found, expected = folded(*inputs)[1], fused(*inputs)[1]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("purifier", PURIFIERS)
@pytest.mark.parametrize("sigma", [0.12, 1.0])
def test_a_folded_purifier_gives_the_same_logits(purifier: str, sigma: float) -> None:
    model = small_model(purifier)
    _assert_same(fold(model, sigma), fuse(model, sigma), model)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_a_folded_classifier_gives_the_same_logits(classifier: str) -> None:
    model = small_model("EDM", classifier)
    _assert_same(fold(model, _SIGMA), fuse(model, _SIGMA), model)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("resize", "antialias", "exact"),
    [
        *(pytest.param(*each, False, marks=pytest.mark.nightly) for each in (("bilinear", False), ("bilinear", True))),
        pytest.param("bicubic", False, False, marks=pytest.mark.nightly),
        ("bicubic", True, False),
        ("bilinear", False, True),
    ],
)
def test_a_resize_becomes_part_of_the_patches_where_it_is_linear(resize: str, antialias: bool, exact: bool) -> None:
    before = preprocessing("ViT", exact=exact, resize=resize, antialias=antialias)
    # Not the EDM network of random weights: its values far beyond the grey levels would hide the truncation.
    model = small_model("identity", "ViT", before)
    folded = fold(model, _SIGMA)
    _assert_same(folded, fuse(model, _SIGMA), model)
    program = export_program(folded, graph_inputs(model, [_SIGMA], "fp32"))
    kept = [node for node in program.graph.nodes if "upsample" in str(node.target) or "interpolate" in str(node.target)]
    assert bool(kept) == exact


@pytest.mark.parametrize("purifier", PURIFIERS)
def test_folding_leaves_the_model_as_it_was(purifier: str) -> None:
    model = small_model(purifier)
    before = copy.deepcopy(model.purifier.state_dict()), copy.deepcopy(model.classifier.state_dict())
    fold(model, _SIGMA)
    for state, module in zip(before, (model.purifier, model.classifier), strict=True):
        after = module.state_dict()
        assert list(after) == list(state)
        assert all(torch.equal(after[key], value) for key, value in state.items())


@pytest.mark.slow
@pytest.mark.parametrize("purifier", every_purifier())
def test_nothing_in_the_graph_depends_on_sigma_alone_and_every_weight_is_used(purifier: str) -> None:
    model = small_model(purifier)
    inputs = graph_inputs(model, [_SIGMA], "fp32")
    graph = onnx.load_from_string(onnx_bytes(export_program(fold(model, _SIGMA), inputs), inputs)).graph
    fed = {entry.name for entry in inputs}
    for node in graph.node:
        if any(name in fed for name in node.input):
            fed.update(node.output)
        else:
            assert node.op_type == "Constant", f"{node.op_type} {node.name} computes from constants only"
    used = {name for node in graph.node for name in node.input}
    assert [weight.name for weight in graph.initializer if weight.name not in used] == []


def test_the_learned_variance_and_the_time_path_are_gone() -> None:
    model = small_model("DDPM, ADM with variance")
    folded = fold(model, _SIGMA)
    names = [name for name, _ in folded.named_parameters()]
    assert not [name for name in names if "time_embed" in name or "emb_layers" in name]
    convolutions = [module for module in folded.network[0].modules() if isinstance(module, nn.Conv2d)]
    assert convolutions[-1].out_channels == 1


def test_a_noise_plane_is_cut_off_at_the_border_as_padding_does() -> None:
    network = Ffdnet(PlainDenoiserConfig(channels=1, width=4, depth=2)).eval()
    nn.init.ones_(network.model[0].weight)
    nn.init.zeros_(network.model[0].bias)
    model = small_model("identity")
    purified = Model(
        purifier=GaussianPurifier(GaussianConfig(), network),
        classifier=model.classifier,
        preprocessing=model.preprocessing,
        input_shape=(1, 8, 8),
        classes=10,
    )
    first = next(module for module in fold(purified, _SIGMA).modules() if hasattr(module, "added"))
    # 4 of 9 taps lie inside in a corner, 6 on an edge, 9 elsewhere.
    corner = torch.tensor([[4.0, 6.0], [6.0, 9.0]]) * _SIGMA
    torch.testing.assert_close(first.added[0, 0, :2, :2], corner)


def test_networks_of_several_times_share_the_weights_that_time_does_not_change() -> None:
    model = small_model("ODE")
    folded = fold(model, _SIGMA)
    weights = {id(weight): weight.numel() for weight in folded.parameters()}
    original = sum(weight.numel() for weight in (*model.purifier.parameters(), *model.classifier.parameters()))
    assert sum(weights.values()) < 1.2 * original


class OwnNetwork(nn.Module):
    """A network that purecert knows nothing of."""

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x * sigma


def test_a_network_of_ones_own_keeps_its_time_path() -> None:
    known = small_model("FFDNet")
    model = Model(
        purifier=GaussianPurifier(GaussianConfig(), OwnNetwork()).eval(),
        classifier=known.classifier,
        preprocessing=known.preprocessing,
        input_shape=known.input_shape,
        classes=known.classes,
    )
    _assert_same(fold(model, _SIGMA), fuse(model, _SIGMA), model)


class ActivatedNorm(nn.BatchNorm2d):
    """A normalisation with an activation of its own, as libraries have them."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input).relu()


class ScaledConvolution(nn.Conv2d):
    """A convolution that is not what its weights say, as libraries have them."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(input)


class Reversed(nn.Sequential):
    """A sequence that runs otherwise than its order says."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        for layer in reversed(list(self)):
            input = layer(input)
        return input


@pytest.mark.parametrize(
    ("sequence", "convolution", "norm", "is_folded"),
    [
        (nn.Sequential, nn.Conv2d, nn.BatchNorm2d, True),
        (nn.Sequential, nn.Conv2d, ActivatedNorm, False),
        (nn.Sequential, ScaledConvolution, nn.BatchNorm2d, False),
        (Reversed, nn.Conv2d, nn.BatchNorm2d, False),
    ],
)
def test_only_what_is_surely_a_convolution_and_its_norm_is_merged(
    sequence: type[nn.Sequential], convolution: type[nn.Conv2d], norm: type[nn.BatchNorm2d], is_folded: bool
) -> None:
    layers = sequence(convolution(4, 4, 3, padding=1), norm(4)).eval().requires_grad_(False)
    for name, value in layers[1].named_buffers():
        if name != "num_batches_tracked":
            nn.init.uniform_(value, 0.5, 1.5)
    x = torch.randn(2, 4, 5, 5)
    expected = layers(x)
    folded = fold_batch_norms(copy.deepcopy(layers))
    torch.testing.assert_close(folded(x), expected)
    assert any(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) != is_folded
