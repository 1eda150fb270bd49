"""Weights of vision transformers under the names that Hugging Face's hub and its library have given them."""

import re
from collections.abc import Mapping

from torch import Tensor

# A layer's key in transformers 4, which most files on the hub were saved with.
_LAYER_KEY = re.compile(r"vit\.encoder\.layer\.(\d+)\.(.+)\.(weight|bias)")
_LAYER_PARTS = {  # of transformers 4, in transformers 5
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layernorm_before": "layernorm_before",
    "layernorm_after": "layernorm_after",
}


def canonical_vit_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights under the names of transformers 5.

    A key that neither version has stays as it is, and so does one whose new name is taken: a strict load names it.
    """
    renamed = {key: _rename(key) for key in state}
    return {key if renamed[key] in state else renamed[key]: value for key, value in state.items()}


def _rename(key: str) -> str:
    match = _LAYER_KEY.fullmatch(key)
    if match is None or match[2] not in _LAYER_PARTS:
        return key
    return f"vit.layers.{match[1]}.{_LAYER_PARTS[match[2]]}.{match[3]}"
