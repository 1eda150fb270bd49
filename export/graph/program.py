"""A module as one exported program, and that program as one ONNX graph."""

import ast
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr

import onnx
import onnxscript.ir as ir
import torch
from torch import nn
from torch.export import ExportedProgram

from purecert.engine.errors import InputError
from purecert.engine.plans.plan import BATCH_DIMENSION, GraphInput
from purecert.export.graph.kept_nan import keep_nan
from purecert.export.graph.pooling import pool_by_means
from purecert.export.refusals import refusing

LABEL, LOGITS = "label", "logits"

# 20 spells a GroupNorm as InstanceNormalization, which ONNX Runtime's CPU provider runs as one kernel; 21 has
# GroupNormalization, which it expands into many (U-Net of 8 blocks, 64 channels: 0.29 against 0.36 s a batch).
_OPSET = 20
# Protocol Buffers end at 2 GB; what is not weights takes far less than the margin.
_MAX_WEIGHT_BYTES = 2**31 - 2**26
# Any batch but 0 and 1, for which PyTorch would specialise the program.
_EXAMPLE_BATCH = 3
_SCOPES = "pkg.torch.onnx.name_scopes"  # the modules around a node, the outermost first, and the node


def export_program(module: nn.Module, inputs: Sequence[GraphInput]) -> ExportedProgram:
    """Return the program of ``module``, which takes ``inputs`` at any batch size.

    Raises:
        InputError: PyTorch cannot export the module.
    """
    examples = tuple(torch.zeros(_EXAMPLE_BATCH, *entry.shape, dtype=getattr(torch, entry.dtype)) for entry in inputs)
    batch = {0: torch.export.Dim("batch", min=1)}
    # A *args parameter takes one entry for the whole tuple, a named one an entry of its own.
    shapes = (batch,) if len(examples) == 1 else (batch, tuple(batch for _ in examples[1:]))
    with refusing("a network that PyTorch exports as one program for any batch size", _way_out(inputs)):
        with torch.no_grad(), _quiet():
            program = torch.export.export(module, examples, dynamic_shapes=shapes)
        pool_by_means(program)
    return program


def _way_out(inputs: Sequence[GraphInput]) -> str:
    rewrite = "rewrite it with tensor operations alone, whose shapes and branches depend on no values"
    is_half = any(entry.dtype == "float16" for entry in inputs)
    return f"use --precision fp32, or, where that fails, {rewrite}" if is_half else rewrite


def program_bytes(program: ExportedProgram) -> bytes:
    """Return ``program`` as the content of a .pt2 file."""
    buffer = io.BytesIO()
    with _quiet():
        torch.export.save(program, buffer)
    return buffer.getvalue()


def has_softmax(program: ExportedProgram) -> bool:
    """Whether ``program`` holds a softmax, alone or inside attention."""
    names = (str(node.target) for node in program.graph.nodes if node.op == "call_function")
    return any("softmax" in name or "scaled_dot_product_attention" in name for name in names)


def onnx_bytes(program: ExportedProgram, inputs: Sequence[GraphInput]) -> bytes:
    """Return ``program`` as an ONNX model whose only output is ``label``; ``logits`` is an inner value.

    Raises:
        InputError: The weights do not fit one ONNX file, or ONNX has no words for the program.
    """
    _check_size(program)
    with refusing("a network that PyTorch's exporter can write as ONNX", _way_out(inputs)):
        model = _onnx_model(program, inputs)
        _name_folded_weights(model)
        _widen_softmax(model)
        _name_batch(model)
        _strip(model)
        proto = ir.to_proto(model)
        keep_nan(proto)
        onnx.checker.check_model(proto, full_check=True)
        content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _onnx_model(program: ExportedProgram, inputs: Sequence[GraphInput]) -> ir.Model:
    with torch.no_grad(), _quiet():
        exported = torch.onnx.export(
            program,
            input_names=[entry.name for entry in inputs],
            output_names=[LABEL, LOGITS],
            opset_version=_OPSET,
            verbose=False,
        )
    assert exported is not None  # None is what the exporter returns when it wrote a file
    model = exported.model
    model.graph.outputs[:] = [output for output in model.graph.outputs if output.name == LABEL]
    return model


def _check_size(program: ExportedProgram) -> None:
    tensors = [*program.state_dict.values(), *program.constants.values()]
    size = sum(value.nbytes for value in tensors if isinstance(value, torch.Tensor))
    if size > _MAX_WEIGHT_BYTES:
        raise InputError(
            f"expected weights below {_MAX_WEIGHT_BYTES / 2**30:.2f} GiB, which is what one ONNX file holds, "
            f"found {size / 2**30:.2f} GiB; use --precision fp16 or a smaller model"
        )


def _name_folded_weights(model: ir.Model) -> None:
    """Name every weight that the exporter computed, such as a filter repeated for every channel, by its module.

    A weight of the model keeps its name, which begins with its module's path. One that was folded out of others gets a
    name without a path; here it gets the path of the module that multiplies with it, and its FP32 island can be told.
    """
    for node in list(model.graph):
        path = _module_path(node)
        for value in node.inputs:
            if path and value is not None and value.is_initializer() and "." not in (value.name or ""):
                value.name = f"{path}.{value.name}"


def _module_path(node: ir.Node) -> str:
    scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
    return str(scopes[-2]) if len(scopes) > 1 else ""


def _widen_softmax(model: ir.Model) -> None:
    """Put every half softmax between casts to FP32 and back, as PyTorch computes it."""
    for node in list(model.graph):
        if node.op_type == "Softmax" and node.outputs[0].dtype == ir.DataType.FLOAT16:
            _widen(model.graph, node)


def _widen(graph: ir.Graph, node: ir.Node) -> None:
    score, result = node.inputs[0], node.outputs[0]
    widen = ir.node("Cast", [score], {"to": ir.DataType.FLOAT})
    narrow = ir.node("Cast", [result], {"to": ir.DataType.FLOAT16})
    result.replace_all_uses_with(narrow.outputs[0])
    narrow.replace_input_with(0, result)
    node.replace_input_with(0, widen.outputs[0])
    narrow.outputs[0].type, narrow.outputs[0].shape = result.type, result.shape
    widen.outputs[0].type, widen.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), result.shape
    result.type = ir.TensorType(ir.DataType.FLOAT)
    graph.insert_before(node, widen)
    graph.insert_after(node, narrow)


def _name_batch(model: ir.Model) -> None:
    """Call the batch's dimension by the plan format's name, by which a runtime of fixed batch sets it."""
    shape = model.graph.inputs[0].shape
    assert shape is not None  # an exported program's inputs have one
    symbol = shape[0]
    values = (*model.graph.inputs, *model.graph.outputs, *(value for node in model.graph for value in node.outputs))
    for value in values:
        if value.shape is not None:
            value.shape = ir.Shape([BATCH_DIMENSION if size == symbol else size for size in value.shape])


def _strip(model: ir.Model) -> None:
    """Remove what names the exporting machine (stack traces with paths) or changes from export to export."""
    model.doc_string = None
    model.graph.doc_string = None
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for node in model.graph:
        node.doc_string = None
        node.metadata_props.clear()
        for value in node.outputs:
            value.doc_string = None
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.doc_string = None
        value.metadata_props.clear()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence PyTorch where no user can act on it.

    It notes absent torchvision operators and its own deprecation; what it raises, it also logs and prints by the page.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
            yield
    finally:
        logging.disable(disabled)
