"""FP16 with FP32 islands: which modules of a network compute in half, and which keep full precision.

Convolutions and linear layers, where the time goes, compute in half. Every other layer that holds numbers of its own
(normalisations, fixed filters, noise embeddings, the classifier's normalisation and resize) stays in FP32, because
it squares, sums or exponentiates what half rounds or overflows. So does the last linear layer, which decides votes.
A softmax needs no island here: PyTorch computes it in FP32 from half, and the ONNX graph says so (``graph.py``).
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.utils import _pytree as pytree

from purecert.engine.errors import CheckError
from purecert.export.fusing.fold_classifier import MergedPatches
from purecert.export.fusing.fuse import FusedModel
from purecert.train.models.preprocessing import ExactPreprocessing, Preprocessing

_IN_HALF = (_ConvNd, nn.Linear, nn.Embedding, MergedPatches)


_DECIDES = "its outputs are the logits, whose order is the vote"
_NORMALISES = "divides by a statistic of its input, which half rounds or overflows"
_RUNNING = "scales by running statistics that no convolution before it could take in"
_PREPARES = "prepares the classifier's pixels, whose grey levels half rounds"
_OTHER = "holds numbers of its own and is neither a convolution nor a matrix product"


def to_half(fused: FusedModel) -> tuple[FusedModel, dict[str, str]]:
    """Return a copy of ``fused`` that computes in FP16, and which modules in it stay in FP32: path and reason.

    Inputs are cast where a module of the other precision begins, so module paths and weight names stay as they were.

    Raises:
        CheckError: A weight does not fit FP16.
    """
    half = copy.deepcopy(fused)
    head = _head(half.network)
    islands = {
        path: _DECIDES if module is head else _reason(module)
        for path, module in half.named_modules()
        if module is head or (_is_leaf(module) and _needs_fp32(module))
    }
    for path, module in half.named_modules():
        if path in islands:
            module.register_forward_pre_hook(_cast_inputs_to_fp32, with_kwargs=True)
            if module is not head:
                module.register_forward_hook(_cast_output_to_half)
        else:
            _convert(module, path)
    half.dtype = torch.float16
    return half, islands


def _head(network: nn.Module) -> nn.Module | None:
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return linear[-1] if linear else None


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _needs_fp32(module: nn.Module) -> bool:
    """Whether a layer without parts of its own has numbers, and is none of those that half is made for."""
    numbers = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return not isinstance(module, _IN_HALF) and (bool(numbers) or _is_normalisation(module))


def _reason(module: nn.Module) -> str:
    if _is_normalisation(module):
        return _NORMALISES
    if isinstance(module, _BatchNorm):
        return _RUNNING
    return _PREPARES if isinstance(module, Preprocessing | ExactPreprocessing) else _OTHER


def describe_islands(islands: Mapping[str, str]) -> list[str]:
    """Return one line for each reason: how many modules stay in FP32 for it, and the first of them."""
    lines = []
    for reason in dict.fromkeys(islands.values()):
        paths = [path for path, why in islands.items() if why == reason]
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        lines.append(f"in FP32: {paths[0]}{more}: {reason}")
    return lines


def _is_normalisation(module: nn.Module) -> bool:
    """Whether a layer divides by a statistic of its input; without affine weights such a layer holds no numbers."""
    kinds = (nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.LocalResponseNorm, nn.InstanceNorm1d)
    return isinstance(module, (*kinds, nn.InstanceNorm2d, nn.InstanceNorm3d))


def _convert(module: nn.Module, path: str) -> None:
    """Make the module's own weights half, and its inputs where it has any and is a layer."""
    for name, weight in module.named_parameters(recurse=False):
        weight.data = _to_half(weight.data, f"{path}.{name}")
    if not _is_leaf(module):
        return  # what a container computes with numbers of its own is FP32, until the next layer casts it
    for name, value in module.named_buffers(recurse=False):
        if value.is_floating_point():
            setattr(module, name, _to_half(value, f"{path}.{name}"))
    if isinstance(module, _IN_HALF):
        module.register_forward_pre_hook(_cast_inputs_to_half, with_kwargs=True)


def _to_half(value: Tensor, name: str) -> Tensor:
    half = value.to(torch.float16)
    if not bool(torch.isfinite(half).all()):
        largest = float(value.abs().max())
        raise CheckError(
            f"weight {name} reaches {largest:.6g}, beyond FP16's 65,504: no FP16 plan; use --precision fp32"
        )
    return half


def _cast_inputs_to_half(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _cast(args, torch.float16), _cast(kwargs, torch.float16)


def _cast_inputs_to_fp32(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _cast(args, torch.float32), _cast(kwargs, torch.float32)


def _cast_output_to_half(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    return _cast(output, torch.float16)


def _cast(values: Any, dtype: torch.dtype) -> Any:
    def cast(value: Any) -> Any:
        # A cast that changes nothing would still be a node of the exported program.
        changes = isinstance(value, Tensor) and value.is_floating_point() and value.dtype != dtype
        return value.to(dtype) if changes else value

    return pytree.tree_map(cast, values)
