"""Lower layers learn at smaller rates; the first steps' gradients are not clipped."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from purecert.train.fitting.draws import Batch
from purecert.train.fitting.loop import fit
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.layers import SHARE, parameter_groups
from purecert.train.fitting.plans.optimizers import Sgd
from purecert.train.fitting.plans.rates import Constant
from purecert.train.networks.rrcm.classifier import RrcmClassifier, RrcmClassifierConfig
from purecert.train.networks.rrcm.vit import RrcmVitConfig
from support.toy_training import toy_sampler

_PLAN = Fit(stage="test", steps=1, learning_rate=1.0, optimizer=Sgd(momentum=0.0), schedule=Constant())


class _Three(nn.Module):
    """Three numbers in three layers."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = nn.ParameterList(nn.Parameter(torch.zeros(())) for _ in range(3))

    def layer_of(self, parameter: str) -> int:
        return 2 - int(parameter.split(".")[1])

    def sum(self, batch: Batch) -> Tensor:
        return torch.stack([number * 1.0 for number in self.numbers]).sum()  # gradients that share no memory


def test_each_layer_moves_at_its_share_of_the_rate() -> None:
    module = _Three()
    fit(module, module.sum, replace(_PLAN, layer_decay=0.5), toy_sampler())
    assert [p.item() for p in module.parameters()] == [-0.25, -0.5, -1.0]


def test_without_a_decay_any_module_will_do_and_with_one_it_must_say_its_layers() -> None:
    (group,) = parameter_groups(nn.Linear(2, 2), 1.0)
    assert (len(group["params"]), group[SHARE]) == (2, 1.0)
    with pytest.raises(TypeError, match="needs a module with layer_of, got Linear"):
        parameter_groups(nn.Linear(2, 2), 0.9)


def test_layers_of_rrcm_are_those_of_its_authors() -> None:
    """Tokens and patches lowest, then the blocks, then norm and head: decay^(depth + 1 - layer)."""
    shape = RrcmVitConfig(image_size=8, channels=1, width=8, depth=2, heads=2, projection_hidden=4, projection_width=2)
    module = RrcmClassifier(RrcmClassifierConfig(network=shape, classes=3))
    module.base_model.projection_head.requires_grad_(False)
    names = {id(p): name for name, p in module.named_parameters()}
    shares = {names[id(p)]: group[SHARE] for group in parameter_groups(module, 0.5) for p in group["params"]}
    assert shares["base_model.cls_token"] == shares["base_model.patch_embed.proj.weight"] == 0.125
    assert shares["base_model.blocks.0.attn.qkv.weight"] == 0.25
    assert shares["base_model.blocks.1.mlp.fc2.bias"] == 0.5
    assert shares["base_model.norm.weight"] == shares["linear_head.weight"] == 1.0
    assert set(shares) == {name for name in names.values() if "projection_head" not in name}


def test_the_first_steps_are_not_clipped() -> None:
    moved = []
    for steps in (1, 2, 3):
        module = _Three()
        fit(module, module.sum, replace(_PLAN, steps=steps, clip=0.3**0.5, clip_after=2), toy_sampler())
        moved.append(-module.numbers[0].item())
    assert moved == pytest.approx([1.0, 2.0, 2.0 + 0.1**0.5])


@pytest.mark.parametrize("changes", [{"clip_after": -1}, {"layer_decay": 0.0}, {"layer_decay": 1.1}])
def test_impossible_numbers_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="clip_after must be at least 0 and layer_decay in"):
        replace(_PLAN, **changes)  # type: ignore[arg-type]  # each field has its type
