"""WideResNet gives the published networks' logits, in both layouts of their checkpoints."""

from dataclasses import replace

import pytest
import torch

from purecert.train.networks.wide_resnet import Layout, WideResNet, WideResNetConfig
from support.golden import golden

_LAYOUTS: list[Layout] = ["block", "layer"]
_SMALL = WideResNetConfig(depth=10, widen_factor=1, classes=2, layout="block")


def _published(layout: Layout) -> WideResNet:
    values = golden(f"wideresnet_{layout}_A")
    shape = values.config
    network = WideResNet(
        WideResNetConfig(
            depth=shape["depth"], widen_factor=shape["widen_factor"], classes=shape["num_classes"], layout=layout
        )
    )
    network.load_state_dict(values.state(), strict=True)
    return network.eval().requires_grad_(False)


@pytest.mark.shared
@pytest.mark.parametrize("layout", _LAYOUTS)
def test_the_network_gives_the_published_logits(layout: Layout) -> None:
    arrays, network = golden(f"wideresnet_{layout}_A").arrays, _published(layout)
    for x, expected in zip(arrays["x"], arrays["logits"], strict=True):
        torch.testing.assert_close(network(x), expected, atol=5e-5, rtol=1e-5)


@pytest.mark.shared
@pytest.mark.parametrize("layout", _LAYOUTS)
def test_weights_of_the_other_layout_are_refused(layout: Layout) -> None:
    state = golden(f"wideresnet_{'layer' if layout == 'block' else 'block'}_A").state()
    network = WideResNet(WideResNetConfig(depth=16, widen_factor=1, classes=10, layout=layout))
    with pytest.raises(RuntimeError, match="Missing key"):
        network.load_state_dict(state, strict=True)


@pytest.mark.parametrize(("depth", "widen_factor", "millions"), [(40, 4, 8.9), (28, 10, 36.5), (16, 8, 11.0)])
def test_the_papers_networks_have_its_parameter_counts(depth: int, widen_factor: int, millions: float) -> None:
    with torch.device("meta"):  # table 4 of the paper
        network = WideResNet(replace(_SMALL, depth=depth, widen_factor=widen_factor, classes=10))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.shared
@pytest.mark.parametrize("layout", _LAYOUTS)
def test_it_exports_with_a_free_batch_size(layout: Layout) -> None:
    network = _published(layout)
    program = torch.export.export(
        network, (torch.randn(2, 3, 32, 32),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    x = torch.randn(5, 3, 32, 32)
    torch.testing.assert_close(program.module()(x), network(x))


@pytest.mark.parametrize("layout", _LAYOUTS)
def test_dropout_acts_in_training_only(layout: Layout) -> None:
    torch.manual_seed(0)
    network = WideResNet(replace(_SMALL, layout=layout, dropout=0.5, in_channels=1))
    x = torch.randn(4, 1, 8, 8)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # its statistics of the batch would differ as well
    assert not torch.equal(network(x), network(x))
    torch.testing.assert_close(network.eval()(x), network(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"depth": 30}, r"6 n \+ 4"),
        ({"depth": 4}, r"6 n \+ 4"),
        ({"widen_factor": 0}, "positive widen_factor"),
        ({"classes": 1}, "2 classes"),
        ({"in_channels": 0}, "at least 1 channel"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_an_impossible_shape_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(_SMALL, **change)  # type: ignore[arg-type]
