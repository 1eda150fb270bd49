"""Checkpoint files in the formats of the programs that publish them."""

import json
import pickle
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

EDM_SOURCE = "from pathlib import Path\nPath('marker').touch()\nraise RuntimeError('this source is never run')\n"
_EDM_BUFFERS = ("freqs", "resample_filter")

# Under the names that the published pickles hold.
EasyDict = type("EasyDict", (dict,), {"__module__": "dnnlib.util"})


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> object:
    raise AssertionError("reading in the tests goes through our own reader")


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class EdmObject:
    """Pickles as a persistent object of EDM, with its description changed as told."""

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {"type": "class", "version": 6, "module_src": EDM_SOURCE, "class_name": "A", "state": {}}
        return (_reconstruct_persistent_obj, (meta | self._changes,))


class EdmModule(nn.Module):
    """A module that pickles as those of EDM do, and records what it was made with."""

    def __init__(self, class_name: str, /, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.class_name = class_name
        self._init_args, self._init_kwargs = args, kwargs

    def __reduce__(self) -> tuple[Any, ...]:
        state = {key: value for key, value in self.__dict__.items() if key != "class_name"}
        return EdmObject(class_name=self.class_name, state=state).__reduce__()


def edm_tree(state: Mapping[str, Tensor], **kwargs: Any) -> EdmModule:
    """Return the module tree of a state: EDMPrecond, a SongUNet, two ModuleDicts, blocks, layers."""
    root = EdmModule("EDMPrecond", **kwargs)
    for key, value in state.items():
        *parents, name = key.split(".")
        module: nn.Module = root
        for depth, parent in enumerate(parents):
            if parent not in module._modules:
                is_container = depth == 1 and parent in ("enc", "dec")
                made = nn.ModuleDict() if is_container else EdmModule("SongUNet" if depth == 0 else "Layer", **kwargs)
                module._modules[parent] = made
            child = module._modules[parent]
            assert child is not None
            module = child
        if name in _EDM_BUFFERS:
            module.register_buffer(name, value)
        else:
            module.register_parameter(name, nn.Parameter(value, requires_grad=False))
    return root


def write_edm(path: Path, content: object, protocol: int = 4) -> Path:
    """Write a pickle of NVlabs/edm, such as ``{"ema": edm_tree(...)}``."""
    with pytest.MonkeyPatch.context() as patch:  # pickle looks up the names that it writes
        for name in ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util"):
            patch.setitem(sys.modules, name, types.ModuleType(name))
        persistence, util = sys.modules["torch_utils.persistence"], sys.modules["dnnlib.util"]
        patch.setattr(persistence, "_reconstruct_persistent_obj", _reconstruct_persistent_obj, raising=False)
        patch.setattr(util, "EasyDict", EasyDict, raising=False)
        path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def write_flax(path: Path, leaves: Mapping[str, Tensor]) -> Path:
    """Write a training state of openai/consistency_models_cifar10 that holds ``leaves``, by path, as params_ema."""
    import msgpack

    def pack(value: Tensor) -> Any:
        array = value.numpy()
        parts = msgpack.packb((array.shape, array.dtype.name, array.tobytes("C")), use_bin_type=True)
        return msgpack.ExtType(1, parts)

    params: dict[str, Any] = {}
    for name, value in leaves.items():
        *parents, last = name.split("/")
        node = params
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = pack(value)
    state = {"step": 1, "lr": 4e-4, "ema_rate": 0.999, "params": params, "params_ema": params}
    path.write_bytes(msgpack.packb(state | {"model_state": {}, "opt_state": {}, "rng_state": pack(torch.zeros(2))}))
    return path


def write_safetensors(path: Path, state: Mapping[str, Tensor]) -> Path:
    """Write weights as safetensors; the format keeps no order."""
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path


def write_torch(path: Path, content: object) -> Path:
    """Write what torch.save is given."""
    torch.save(content, path)
    return path


def parallel(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return what a trainer saves of a network inside DataParallel, beside other entries."""
    return {"arch": "net", "epoch": 90, "state_dict": prefixed(state, "module.")}


def prefixed(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights with ``prefix`` before every name."""
    return {f"{prefix}{name}": value for name, value in state.items()}


def write_json(path: Path, content: object) -> Path:
    """Write JSON."""
    path.write_text(json.dumps(content))
    return path


_DIFFUSERS_STAGES = {  # two resolutions with one block each, the lower one with attention
    "input_blocks.0.0": "conv_in",
    "input_blocks.1.0": "down_blocks.0.resnets.0",
    "input_blocks.2.0.op": "down_blocks.0.downsamplers.0.conv",
    "input_blocks.3.0": "down_blocks.1.resnets.0",
    "input_blocks.3.1": "down_blocks.1.attentions.0",
    "middle_block.0": "mid_block.resnets.0",
    "middle_block.1": "mid_block.attentions.0",
    "middle_block.2": "mid_block.resnets.1",
    "output_blocks.0.0": "up_blocks.0.resnets.0",
    "output_blocks.0.1": "up_blocks.0.attentions.0",
    "output_blocks.1.0": "up_blocks.0.resnets.1",
    "output_blocks.1.1": "up_blocks.0.attentions.1",
    "output_blocks.1.2.conv": "up_blocks.0.upsamplers.0.conv",
    "output_blocks.2.0": "up_blocks.1.resnets.0",
    "output_blocks.3.0": "up_blocks.1.resnets.1",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_DIFFUSERS_LAYERS = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
    "norm": "group_norm",
    "proj_out": "to_out.0",
}


def diffusers_state(state: Mapping[str, Tensor], heads: int) -> dict[str, Tensor]:
    """Return a small network of improved-diffusion under the names of diffusers.

    Args:
        state: Two resolutions with one block each, attention at the lower; qkv rows ordered (heads three dim).
        heads: Of each attention.
    """
    found: dict[str, Tensor] = {}
    for key, value in state.items():
        stage = next(name for name in _DIFFUSERS_STAGES if key.startswith(f"{name}."))
        layer, _, kind = key.removeprefix(f"{stage}.").rpartition(".")
        name = _DIFFUSERS_STAGES[stage]
        if layer == "qkv":
            rows = value.flatten(1) if value.dim() > 1 else value
            parts = rows.unflatten(0, (heads, 3, -1)).unbind(1)
            found |= {f"{name}.to_{part}.{kind}": rows.flatten(0, 1) for part, rows in zip("qkv", parts, strict=True)}
        else:
            inner = f".{_DIFFUSERS_LAYERS[layer]}" if layer else ""
            found[f"{name}{inner}.{kind}"] = value.flatten(1) if layer == "proj_out" and value.dim() > 1 else value
    return found


def write_diffusers(folder: Path, state: Mapping[str, Tensor], heads: int) -> Path:
    """Write such a network as a folder of diffusers, from its state under their names."""
    folder.mkdir(exist_ok=True)
    width = state["conv_in.bias"].numel()
    config = {
        "_class_name": "UNet2DModel",
        "attention_head_dim": width // heads,
        "attn_norm_num_groups": 32,
        "block_out_channels": [width, width],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "layers_per_block": 1,
        "out_channels": 6,
        "resnet_time_scale_shift": "scale_shift",
        "sample_size": 16,
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    }
    write_json(folder / "config.json", config)
    write_safetensors(folder / "diffusion_pytorch_model.safetensors", state)
    return folder
