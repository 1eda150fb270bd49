"""Names for weights that the exporter computed, such as a filter repeated for every channel.

A weight of the model keeps its name, which begins with its module's path. One that was folded out of others gets a name
without a path; here it gets the path of the module that multiplies with it, so that its FP32 island can be told.
"""

import ast

import onnxscript.ir as ir

_SCOPES = "pkg.torch.onnx.name_scopes"  # the modules around a node, the outermost first, and the node


def name_folded_weights(model: ir.Model) -> None:
    """Put the path of its module before the name of every weight without one that a node of a module takes."""
    for node in list(model.graph):
        path = _module_path(node)
        for value in node.inputs:
            if path and value is not None and value.is_initializer() and "." not in (value.name or ""):
                value.name = f"{path}.{value.name}"


def _module_path(node: ir.Node) -> str:
    scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
    return str(scopes[-2]) if len(scopes) > 1 else ""
