"""Both generations of the names of Hugging Face's ViT end up under the newer ones."""

import pytest
import torch
from torch import Tensor

from purecert.train.readers.names.vit import canonical_vit_state
from support.golden import shared


def _listed(name: str) -> dict[str, Tensor]:
    """Return tensors without content, of the keys and shapes of a published list."""
    rows = [line.split("\t") for line in shared(f"research/checkpoint-keys/{name}.txt").read_text().splitlines()]
    shapes = {row[0]: [int(n) for n in row[1].strip("()").split(",") if n] for row in rows if len(row) == 3}
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def _shapes(state: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in state.items()}


@pytest.mark.shared
def test_the_names_on_the_hub_become_those_of_the_library() -> None:
    hub, library = _listed("hf_vit_b16_cifar10_hubnames"), _listed("hf_vit_b16_cifar10")
    assert len(hub) == len(library) == 200
    assert _shapes(canonical_vit_state(hub)) == _shapes(library)


@pytest.mark.shared
def test_the_newer_names_stay() -> None:
    library = _listed("hf_vit_b16_cifar10")
    assert canonical_vit_state(library) == library


def test_unknown_keys_stay_for_the_strict_load_to_name() -> None:
    keys = [
        "vit.pooler.dense.weight",
        "vit.encoder.layer.0.attention.q_proj.weight",
        "vit.encoder.layer.x.output.dense.weight",
        "vit.encoder.layer.0.output.dense.scale",
        "encoder.layer.0.output.dense.weight",
        "vit.layers.0.attention.attention.query.weight",
    ]
    state = {key: torch.zeros(1) for key in keys}
    assert canonical_vit_state(state) == state


def test_no_weight_is_lost_where_both_names_are_there() -> None:
    old, new = "vit.encoder.layer.3.output.dense.bias", "vit.layers.3.mlp.fc2.bias"
    state = {old: torch.zeros(1), new: torch.ones(1)}
    assert canonical_vit_state(state) == state
