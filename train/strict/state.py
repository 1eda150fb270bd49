"""Weights into a module: every one of them, none left over, all of the right shape and finite."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from purecert.engine.errors import InputError, one_line

Module = TypeVar("Module", bound=nn.Module)

# Of networks whose settings a file chose: timm asserts, transformers raises whatever Python does.
LIBRARIES_RAISE = (
    *(RuntimeError, ValueError, LookupError, ArithmeticError),
    *(AssertionError, AttributeError, TypeError),
)


class _WithoutRandomValues(TorchFunctionMode):
    """Leaves out the drawing of weights that have no values: on the meta device it loads PyTorch's compiler (1.8 s)."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


def build_empty(build: Callable[[], Module], where: str) -> Module:
    """Return what ``build`` makes, on the meta device: no weights are made only to be replaced, sizes cost no memory.

    Raises:
        InputError: There can be no network of such sizes.
    """
    try:
        with torch.device("meta"), _WithoutRandomValues():
            return build()
    except LIBRARIES_RAISE as error:
        reason = one_line(error)
        raise InputError(f"{where}: expected sizes of which a network can be built, found others ({reason})") from error


def load_strictly(module: Module, state: object, where: str) -> Module:
    """Return ``module`` in eval mode, without gradients, holding copies of ``state``.

    Args:
        module: The network; its own weights may be on the meta device, since all are replaced.
        state: A mapping of the module's keys to tensors.
        where: What the weights are part of, for messages.

    Raises:
        InputError: A key is missing, unknown or misshapen, or a value is no tensor, of another kind or not finite.
    """
    if not isinstance(state, Mapping):
        raise InputError(f"{where}.state: expected a mapping, found {type(state).__name__}")
    expected: dict[str, Tensor] = module.state_dict()
    if missing := [key for key in expected if key not in state]:
        raise InputError(f"{where}: weight {missing[0]!r} is missing ({len(missing)} in all)")
    if unknown := [str(key) for key in state if key not in expected]:
        raise InputError(f"{where}: unknown weight {unknown[0]!r} ({len(unknown)} in all)")
    converted = {key: _convert(state[key], expected[key], f"{where}: weight {key!r}") for key in expected}
    check_finite(converted, where)
    module.load_state_dict(converted, assign=True)
    return module.eval().requires_grad_(False)


def check_finite(state: Mapping[str, Tensor], where: str) -> None:
    """Refuse weights that are no numbers.

    Raises:
        InputError: A value is infinite or not a number.
    """
    for key, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(f"{where}: weight {key!r} holds values that are not finite")


def _convert(value: object, expected: Tensor, what: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise InputError(f"{what}: expected a tensor, found {type(value).__name__}")
    if value.shape != expected.shape:
        raise InputError(f"{what}: expected shape {list(expected.shape)}, found {list(value.shape)}")
    if value.layout != torch.strided or value.is_quantized or value.is_floating_point() != expected.is_floating_point():
        raise InputError(f"{what}: expected {expected.dtype}, found {value.dtype}")
    return value.detach().to(expected.dtype, copy=True).contiguous()
