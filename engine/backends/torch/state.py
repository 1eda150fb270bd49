"""Which exported programs may classify rows: those that keep nothing from one batch to the next and draw no numbers."""

from collections.abc import Iterator

from torch import Tag
from torch._ops import HigherOrderOperator, OpOverload
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node
from torch.utils import _pytree

from purecert.engine.errors import CheckError

_WRAPPERS = frozenset(("wrap_with_set_grad_enabled", "wrap_with_autocast"))  # which run their part once, as it is
_OFF = {"train": False, "training": False, "dropout_p": 0.0}  # arguments with which a random operator draws nothing


def refuse_state(program: ExportedProgram) -> None:
    """Refuse a program that could answer a row differently from batch to batch, where no check would see it.

    That is one that writes to its own buffers or inputs (it could count the batches), draws random numbers, or holds
    parts that run or not by what they see.

    Raises:
        CheckError: It does.
    """
    signature = program.graph_signature
    # An exported program names what it writes to in its signature, or (as exported for training) writes in place.
    written = [*signature.buffers_to_mutate.values(), *signature.user_inputs_to_mutate.values()]
    outlives = signature.inputs_to_buffers | signature.inputs_to_parameters
    for module in program.graph_module.modules():
        if isinstance(module, GraphModule):
            written += [outlives.get(name, name) for name in _names_written(module)]
            _refuse_operators(module)
    if written:
        raise _refused(f"it writes to {written[0]!r}")


def _refuse_operators(module: GraphModule) -> None:
    for node in module.graph.nodes:
        if isinstance(node.target, HigherOrderOperator) and node.target.__name__ not in _WRAPPERS:
            raise _refused(f"{node.target.__name__!r} runs parts of it by what they see")
        if _is_random(node):
            raise _refused(f"{node.target} draws random numbers")


def _refused(why: str) -> CheckError:
    return CheckError(
        f"expected a program that keeps nothing from batch to batch, but {why}; no certificate is possible: export in "
        "eval mode, without counters, running statistics or random layers"
    )


def _is_random(node: Node) -> bool:
    if not isinstance(node.target, OpOverload) or Tag.nondeterministic_seeded not in node.target.tags:
        return False
    given = {argument.name: argument.default_value for argument in node.target._schema.arguments} | dict(_bound(node))
    return not any(name in given and given[name] == value for name, value in _OFF.items())


def _names_written(module: GraphModule) -> Iterator[str]:
    """Yield the names of the module's inputs whose memory it writes to, seen through views."""
    for node in module.graph.nodes:
        if isinstance(node.target, OpOverload):
            writes = {argument.name for argument in node.target._schema.arguments if _is_written(argument)}
            given = [value for name, value in _bound(node) if name in writes]
            bases = (_base(one) for one in _pytree.tree_leaves(given) if isinstance(one, Node))
            yield from (base.name for base in bases if base.op in ("placeholder", "get_attr"))


def _is_written(argument: object) -> bool:
    alias = getattr(argument, "alias_info", None)
    return alias is not None and bool(alias.is_write)


def _bound(node: Node) -> Iterator[tuple[str, object]]:
    """Yield the name and the value of each argument that ``node`` gives, by place or by name."""
    assert isinstance(node.target, OpOverload)
    for argument, value in zip(node.target._schema.arguments, node.args, strict=False):
        yield argument.name, value
    yield from node.kwargs.items()


def _base(node: Node) -> Node:
    """Return the node whose memory ``node`` is a view of, or ``node``."""
    while isinstance(node.target, OpOverload) and node.target._schema.returns:
        inputs = node.all_input_nodes
        if node.target._schema.returns[0].alias_info is None or not inputs:
            return node
        node = inputs[0]
    return node
