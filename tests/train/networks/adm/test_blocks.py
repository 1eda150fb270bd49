"""The parts of AdmUNet give the published blocks' outputs, at widths that the small published networks lack."""

import pytest
import torch

from purecert.train.networks.adm.blocks import AdmAttention, AdmResBlock, QkvOrder, group_norm, sinusoids
from support.golden import golden, table


@pytest.mark.shared
def test_a_block_with_more_channels_than_groups_gives_the_published_output() -> None:
    values = golden("blocks_A")
    shape = values.config["openai_resblock"]
    block = AdmResBlock((shape["channels"], shape["out_channels"]), shape["emb_channels"], scale_shift=True)
    block.load_state_dict(values.state("openai_resblock."), strict=True)
    found = block.eval()(values.arrays["openai_resblock.x"], values.arrays["openai_resblock.emb"])
    torch.testing.assert_close(found, values.arrays["openai_resblock.out"], atol=1e-4, rtol=1e-5)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "order"), [("openai_attention_legacy", "heads-three-dim"), ("cm_attention", "three-heads-dim")]
)
def test_attention_gives_the_published_output(name: str, order: QkvOrder) -> None:
    values = golden("blocks_A")
    shape = values.config[name]
    attention = AdmAttention(shape["channels"], shape["channels"] // shape["num_head_channels"], order)
    attention.load_state_dict(values.state(f"{name}."), strict=True)
    found = attention(values.arrays["attention.x"])
    torch.testing.assert_close(found, values.arrays[f"{name}.out"], atol=1e-4, rtol=1e-5)


@pytest.mark.shared
def test_normalisation_groups_follow_the_published_table() -> None:
    rows = [row for row in table("group_norm") if row["family"].startswith("openai UNetModel")]
    assert rows
    for row in rows:
        norm = group_norm(int(row["channels"]))
        assert (norm.num_groups, norm.eps) == (int(row["groups"]), float(row["eps"]))


def test_the_sinusoids_have_a_closed_form() -> None:
    angles = torch.tensor([[3.0, 0.3, 0.03, 0.003]])  # at frequencies 10000 ** -(j / 4)
    expected = torch.cat([angles.cos(), angles.sin()], dim=1)
    torch.testing.assert_close(sinusoids(torch.tensor([3.0]), 8), expected)


def test_a_block_asks_for_its_embedding() -> None:
    block = AdmResBlock((32, 32), 8, scale_shift=True)
    with pytest.raises(ValueError, match="needs an embedding"):
        block(torch.zeros(1, 32, 4, 4), None)
