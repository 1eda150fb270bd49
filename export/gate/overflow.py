"""The witness of FP16 overflow: a half program run node by node.

Votes alone do not show it: a sigmoid or a clip after an infinity gives a finite value again.
"""

import math
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node
from torch.utils import _pytree as pytree

from purecert.engine.errors import CheckError

_ATTENTION = torch.ops.aten.scaled_dot_product_attention.default
_METADATA_CHECK = torch.ops.aten._assert_tensor_metadata.default


@final
class OverflowWitness(Interpreter):
    """Runs an FP16 program and refuses it where half loses a value that FP32 holds."""

    def __init__(self, program: ExportedProgram) -> None:
        module = program.module()
        assert isinstance(module, GraphModule)
        super().__init__(module)
        self.extra_traceback = False  # a refusal is one line
        self._graph_module = module
        self._rows: Sequence[Tensor] = ()

    def outputs(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return labels and logits of ``rows``, one tensor per graph input.

        Raises:
            CheckError: A value overflowed; the message names the node and its module.
        """
        self._rows = rows
        label, logits = self.run(*rows)
        return label, logits

    def run_node(self, n: Node) -> Any:
        if n.op != "call_function":
            return super().run_node(n)
        if n.target is _ATTENTION:
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            _check_scores(n, args[0], args[1], kwargs.get("scale"))
        result = super().run_node(n)
        if any(_is_lossy(value) for value in pytree.tree_leaves(result)):
            self._compare_with_fp32(n, result)
        return result

    def _compare_with_fp32(self, node: Node, result: Any) -> None:
        """Refuse ``result`` unless FP32 is not finite in the same places, as in a mask of infinities."""
        twin = _FullPrecision(self._graph_module, node)
        twin.run(*(row.to(torch.float32) for row in self._rows))
        for found, exact in zip(pytree.tree_leaves(result), pytree.tree_leaves(twin.found), strict=True):
            if isinstance(found, Tensor) and bool((torch.isfinite(exact) & ~torch.isfinite(found)).any()):
                _refuse(node, str(node.name), exact)


@final
class _FullPrecision(Interpreter):
    """Runs a half program in FP32, and keeps what one node gives."""

    def __init__(self, module: GraphModule, watched: Node) -> None:
        super().__init__(module)
        self._watched = watched
        self.found: Any = None

    def run_node(self, n: Node) -> Any:
        if n.op == "call_module" or n.target is _METADATA_CHECK:
            return None  # checks of the very types that this run changes
        result = super().run_node(n)
        if n is self._watched:
            self.found = result
        return result

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        return _widen(super().get_attr(target, args, kwargs))

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        return super().call_function(target, pytree.tree_map(_widen, args), pytree.tree_map(_widen, kwargs))


def _widen(value: Any) -> Any:
    """Return ``value`` with half replaced by FP32, whether it is a tensor or the type that a cast names."""
    if value is torch.float16:
        return torch.float32
    return value.to(torch.float32) if isinstance(value, Tensor) and value.dtype == torch.float16 else value


def _check_scores(node: Node, query: Tensor, key: Tensor, scale: float | None) -> None:
    """Refuse attention scores beyond half: PyTorch fuses them away in FP32, other engines hold them in half."""
    if query.dtype != torch.float16:
        return
    root = math.sqrt(scale if scale is not None else query.shape[-1] ** -0.5)
    if _is_lossy(torch.matmul(query * root, (key * root).transpose(-2, -1))):
        exact = torch.matmul(query.float() * root, (key.float() * root).transpose(-2, -1))
        _refuse(node, f"the scores of {node.name}", exact)


def _is_lossy(value: object) -> bool:
    if not isinstance(value, Tensor) or value.dtype != torch.float16:
        return False
    # An FP32 sum of half values is finite exactly where all of them are, and a dozen times as fast to form as a mask.
    return not math.isfinite(float(value.sum(dtype=torch.float32)))


def _refuse(node: Node, what: str, exact: Tensor) -> None:
    finite = exact[torch.isfinite(exact)]
    raise CheckError(
        f"FP16 ends at 65,504, but {what} (module {_module_path(node)}) reaches {float(finite.abs().max()):.6g} "
        "in FP32; no FP16 plan: use --precision fp32"
    )


def _module_path(node: Node) -> str:
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path = str(stack[-1][0]) if stack else ""
    return path or "of the graph itself"
