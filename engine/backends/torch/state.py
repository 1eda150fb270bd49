"""Which exported programs may classify rows: those that keep nothing from one batch to the next."""

from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.fx import Node

from purecert.engine.errors import CheckError


def refuse_state(program: ExportedProgram) -> None:
    """Refuse a program that writes to its own buffers or inputs: it could count the batches, and no check would see.

    Raises:
        CheckError: It does.
    """
    signature = program.graph_signature
    # An exported program names what it writes to in its signature, or (as exported for training) writes in place.
    named = [*signature.buffers_to_mutate.values(), *signature.user_inputs_to_mutate.values()]
    held = {node.name: node.name for node in program.graph.nodes if node.op == "placeholder"}
    held |= signature.inputs_to_buffers | signature.inputs_to_parameters
    written = named + [held[base.name] for node in program.graph.nodes for base in _written(node) if base.name in held]
    if written:
        raise CheckError(
            f"expected a program that keeps nothing from batch to batch, but it writes to {written[0]!r}; no "
            "certificate is possible: export in eval mode, without counters or running statistics"
        )


def _written(node: Node) -> list[Node]:
    """Return the nodes whose memory ``node`` writes to, seen through views."""
    if not isinstance(node.target, OpOverload):
        return []
    arguments = zip(node.target._schema.arguments, node.args, strict=False)
    return [
        _base(given)
        for argument, given in arguments
        if isinstance(given, Node) and argument.alias_info is not None and argument.alias_info.is_write
    ]


def _base(node: Node) -> Node:
    """Return the node whose memory ``node`` is a view of, or ``node``."""
    while isinstance(node.target, OpOverload) and node.target._schema.returns:
        inputs = node.all_input_nodes
        if node.target._schema.returns[0].alias_info is None or not inputs:
            return node
        node = inputs[0]
    return node
