"""FP16 or bf16 with FP32 islands: which modules of a network compute in half, and which keep full precision.

Convolutions and linear layers, where the time goes, compute in half. Every other layer that holds numbers of its own
(normalisations, fixed filters, noise embeddings, the classifier's normalisation and resize) stays in FP32, because
it squares, sums or exponentiates what half rounds or overflows. So does the last linear layer, which decides votes.
An island is whole: what lies in it, such as the activation that a normalisation brings along, is FP32 too.
A softmax needs no island here: PyTorch computes it in FP32 from half, and the ONNX graph says so (``graph.py``).
bf16 has the range of FP32 and 8 bits of a number, so nothing overflows in it and more votes are lost.
"""

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.utils import _pytree as pytree

from purecert.engine.errors import CheckError
from purecert.export.fusing.fold_classifier import MergedPatches
from purecert.export.fusing.fuse import FusedModel
from purecert.export.fusing.mixed_products import ProductsInHalf
from purecert.export.refusals import refusing
from purecert.train.models.preprocessing import ExactPreprocessing, Preprocessing

_LARGEST = {torch.float16: "FP16's 65,504: no FP16 plan", torch.bfloat16: "bf16's 3.39e38: no bf16 plan"}
_IN_HALF = (_ConvNd, nn.Linear, nn.Embedding, nn.MultiheadAttention, MergedPatches)


_DECIDES = "its outputs are the logits, whose order is the vote"
_NORMALISES = "divides by a statistic of its input, which half rounds or overflows"
_RUNNING = "scales by running statistics that no convolution before it could take in"
_PREPARES = "prepares the classifier's pixels, whose grey levels half rounds"
_OTHER = "holds numbers of its own and is neither a convolution nor a matrix product"


def to_half(fused: FusedModel, dtype: torch.dtype = torch.float16) -> tuple[FusedModel, dict[str, str]]:
    """Return a copy of ``fused`` that computes in ``dtype``, and which modules in it stay in FP32: path and reason.

    Inputs are cast where a module of the other precision begins, so module paths and weight names stay as they were.

    Raises:
        CheckError: A weight does not fit ``dtype``, which is FP16 or bf16.
        InputError: The network cannot be copied.
    """
    with refusing(
        "a network that copy.deepcopy copies", "let it hold only modules and tensors, or use --precision fp32"
    ):
        half = copy.deepcopy(fused)
    head = _head(half.network)
    islands = _islands(half, head)
    for path in islands:
        island = half.get_submodule(path)
        island.register_forward_pre_hook(partial(_cast_inputs, torch.float32), with_kwargs=True)
        if island is not head:
            island.register_forward_hook(partial(_cast_output, dtype))
    converted: dict[int, nn.Parameter] = {}
    for path, module in half.named_modules():
        if not _is_inside(path, islands):
            _convert(module, path, converted, dtype)
    half.dtype, half.mixed_products = dtype, ProductsInHalf(dtype)
    return half, islands


def _islands(fused: FusedModel, head: nn.Module | None) -> dict[str, str]:
    """Return path and reason of every module that stays in FP32; none lies inside of another."""
    islands: dict[str, str] = {}
    for path, module in fused.named_modules():  # a module comes before its parts
        if not _is_inside(path, islands) and (module is head or _needs_fp32(module)):
            islands[path] = _DECIDES if module is head else _reason(module)
    return islands


def _is_inside(path: str, islands: Mapping[str, str]) -> bool:
    """Whether a module is an island or a part of one."""
    names = path.split(".")
    return any(".".join(names[:count]) in islands for count in range(1, len(names) + 1))


def _head(network: nn.Module) -> nn.Module | None:
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    # nn.MultiheadAttention holds one of a kind of its own, which it never calls.
    called = [module for module in linear if not isinstance(module, NonDynamicallyQuantizableLinear)]
    return called[-1] if called else None


def _needs_fp32(module: nn.Module) -> bool:
    """Whether a module is a normalisation, or a layer with numbers that is none of those that half is made for."""
    if isinstance(module, _IN_HALF):
        return False
    return _is_normalisation(module) or isinstance(module, _BatchNorm) or _is_layer(module)


def _is_layer(module: nn.Module) -> bool:
    """Whether a module has numbers of its own and its parts, such as an activation, have none."""
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return bool(own) and not any(_numbers(part) for part in module.children())


def _numbers(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


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


def _convert(module: nn.Module, path: str, converted: dict[int, nn.Parameter], dtype: torch.dtype) -> None:
    """Make the module's own weights half, and its inputs where it is a layer that half is made for.

    A weight that an island holds too stays there as it is; one that several modules share in half stays shared.
    """
    for name, weight in list(module.named_parameters(recurse=False, remove_duplicate=False)):
        if id(weight) not in converted:
            converted[id(weight)] = nn.Parameter(
                _to_half(weight.detach(), f"{path}.{name}", dtype), requires_grad=False
            )
        setattr(module, name, converted[id(weight)])
    if not isinstance(module, _IN_HALF):
        return  # what a container computes with buffers of its own is FP32, until the next layer casts it
    for name, value in module.named_buffers(recurse=False):
        if value.is_floating_point():
            setattr(module, name, _to_half(value, f"{path}.{name}", dtype))
    module.register_forward_pre_hook(partial(_cast_inputs, dtype), with_kwargs=True)


def _to_half(value: Tensor, name: str, dtype: torch.dtype) -> Tensor:
    half = value.to(dtype)
    if not bool(torch.isfinite(half).all()):
        largest = float(value.abs().max())
        raise CheckError(f"weight {name} reaches {largest:.6g}, beyond {_LARGEST[dtype]}; use --precision fp32")
    return half


def _cast_inputs(dtype: torch.dtype, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return _cast(args, dtype), _cast(kwargs, dtype)


def _cast_output(dtype: torch.dtype, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
    return _cast(output, dtype)


def _cast(values: Any, dtype: torch.dtype) -> Any:
    def cast(value: Any) -> Any:
        # A cast that changes nothing would still be a node of the exported program.
        changes = isinstance(value, Tensor) and value.is_floating_point() and value.dtype != dtype
        return value.to(dtype) if changes else value

    return pytree.tree_map(cast, values)
