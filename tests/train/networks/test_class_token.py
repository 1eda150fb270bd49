"""The class token stands for all classes of a conditional network, and leaves that network alone."""

import pytest
import torch

from purecert.engine.errors import InputError
from purecert.train.networks.adm.unet import AdmUNet, AdmUNetConfig
from purecert.train.networks.class_token import replace_classes_by_token
from support.golden import randomise


def _network(num_classes: int = 5) -> AdmUNet:
    torch.manual_seed(0)
    network = AdmUNet(
        AdmUNetConfig(
            image_size=8,
            model_channels=32,
            num_res_blocks=1,
            attention_resolutions=(4,),
            channel_mult=(1, 1),
            qkv_order="three-heads-dim",
            in_channels=1,
            out_channels=1,
            num_classes=num_classes,
        )
    )
    randomise(network)
    return network.eval()


def test_the_token_starts_as_the_mean_class() -> None:
    network = _network()
    assert network.label_emb is not None
    times = torch.tensor([-40.0, 30.0])
    only_time = network.embed(times, torch.tensor([0, 0])) - network.label_emb.weight[0]
    mean = sum(network.label_emb.weight[i] for i in range(5)) / 5
    torch.testing.assert_close(replace_classes_by_token(network).embed(times), only_time + mean)


def test_a_single_class_gives_the_same_images() -> None:
    network = _network(1)
    x, times = torch.randn(3, 1, 8, 8), torch.tensor([20.0])
    found = replace_classes_by_token(network)(x, times)
    torch.testing.assert_close(found, network(x, times, torch.zeros(3, dtype=torch.int64)))


def test_the_copy_shares_no_storage() -> None:
    network = _network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    unconditional = replace_classes_by_token(network)
    with torch.no_grad():
        for parameter in unconditional.parameters():
            parameter.add_(1)
    assert network.config.num_classes == 5
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])


def test_the_copy_has_the_state_of_a_network_built_with_a_token() -> None:
    unconditional = replace_classes_by_token(_network())
    built = AdmUNet(unconditional.config)
    assert (unconditional.config.num_classes, unconditional.config.class_token) == (0, True)
    built.load_state_dict(unconditional.state_dict(), strict=True)
    x, times = torch.randn(2, 1, 8, 8), torch.tensor([20.0])
    torch.testing.assert_close(built.eval()(x, times), unconditional(x, times), rtol=0, atol=0)


@pytest.mark.parametrize("learns", [True, False])
def test_the_token_learns_where_the_classes_did(learns: bool) -> None:
    unconditional = replace_classes_by_token(_network().requires_grad_(learns))
    assert unconditional.class_token is not None
    assert all(parameter.requires_grad == learns for parameter in unconditional.parameters())
    if learns:
        unconditional(torch.randn(2, 1, 8, 8), torch.tensor([20.0])).square().sum().backward()
        assert unconditional.class_token.grad is not None
        assert unconditional.class_token.grad.abs().sum() > 0


def test_a_network_without_classes_is_refused() -> None:
    with pytest.raises(InputError, match="expected a network with class embeddings"):
        replace_classes_by_token(_network(0))
