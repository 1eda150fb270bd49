"""Matrix products between half and FP32, which PyTorch refuses: in a plan in half they are computed in half."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_ATTENTION = functional.scaled_dot_product_attention
_PRODUCTS = (
    *(_ATTENTION, functional.linear, functional.bilinear),
    *(functional.conv1d, functional.conv2d, functional.conv3d),
    *(functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d),
    *(torch.matmul, Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__, torch.linalg.matmul),
    *(torch.einsum, torch.tensordot, torch.inner, Tensor.inner, torch.mv, Tensor.mv, torch.mm, Tensor.mm),
    *(torch.bmm, Tensor.bmm, torch.baddbmm, Tensor.baddbmm, torch.addbmm, Tensor.addbmm, torch.addmm, Tensor.addmm),
)
_MASK = 3  # place of attention's mask


class ProductsInHalf(TorchFunctionMode):
    """While entered, a product or an attention of half (FP16 or bf16) and FP32 tensors takes all of them as half.

    Such a mix comes of tensors that a network keeps beside its layers, such as the mask of Swin's shifted windows,
    and that stay in FP32. PyTorch refuses mixed products; attention it computes with an FP32 mask here and there, but
    its exporter does not. What of such a mask lies beyond half's range, as -1e9 does, becomes half's largest: a share
    of 0 in the end, either way. Calls of one type are left alone, and so is what PyTorch's own functions in Python
    call inside.
    """

    def __init__(self, half: torch.dtype = torch.float16) -> None:
        super().__init__()
        self._half = half

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return what ``func`` returns."""
        named = kwargs or {}
        if func not in _PRODUCTS or _types((*args, *named.values())) != {self._half, torch.float32}:
            return func(*args, **named)
        if func is _ATTENTION:
            args, named = _with_finite_mask(args, named, self._half)
        halved = {name: _to_half(value, self._half) for name, value in named.items()}
        return func(*(_to_half(value, self._half) for value in args), **halved)


def _types(values: Sequence[Any]) -> set[torch.dtype]:
    """Return the floating types of the tensors; einsum may hold its own in a list."""
    inner = [value for given in values for value in (given if isinstance(given, list | tuple) else [given])]
    return {value.dtype for value in inner if isinstance(value, Tensor) and value.is_floating_point()}


def _with_finite_mask(
    args: Sequence[Any], named: dict[str, Any], half: torch.dtype
) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return the arguments of an attention with a mask that half can hold, be it the fourth or named."""
    if len(args) > _MASK:
        return (*args[:_MASK], _within(half, args[_MASK]), *args[_MASK + 1 :]), named
    return args, named | {"attn_mask": _within(half, named.get("attn_mask"))}


def _within(half: torch.dtype, mask: Any) -> Any:
    is_number = isinstance(mask, Tensor) and mask.is_floating_point()
    largest = torch.finfo(half).max
    return mask.clamp(-largest, largest) if is_number else mask


def _to_half(value: Any, half: torch.dtype) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_to_half(each, half) for each in value)
    is_wide = isinstance(value, Tensor) and value.dtype == torch.float32
    return value.to(half) if is_wide else value
