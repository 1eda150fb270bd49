"""Small graphs that ask a runtime for what no plan may: each with words of the refusal that it must meet."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from purecert.engine.plans.graph_check import ExpectedEnds
from support.plans import LABEL_CONSTANTS, label_nodes

ENDS = ExpectedEnds(inputs={"pixels": ("float32", (1, 2, 2))}, logits="logits", classes=2)
_FOREVER = 2**62
_CONSTANTS = {"matrix": np.ones((4, 2), np.float32), **LABEL_CONSTANTS}
_node = helper.make_node


def model(*nodes: NodeProto, **constants: NDArray[np.generic]) -> ModelProto:
    """Return a model of two logits a row that computes ``nodes`` too."""
    chain = [_node("Flatten", ["pixels"], ["flat"]), _node("MatMul", ["flat", "matrix"], ["logits"]), *label_nodes()]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in {**_CONSTANTS, **constants}.items()]
    graph = helper.make_graph(
        [*nodes, *chain],
        "hostile",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 1, 2, 2])],
        [helper.make_tensor_value_info("label", TensorProto.INT32, ["batch"])],
        held,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def changed(change: Callable[[ModelProto], object]) -> ModelProto:
    """Return the harmless model after ``change``."""
    found = model()
    change(found)
    return found


def _body() -> GraphProto:
    values = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("go", "on")]
    turn = helper.make_tensor_value_info("turn", TensorProto.INT64, [])
    return helper.make_graph([_node("Identity", ["go"], ["on"])], "body", [turn, values[0]], [values[1]])


def _hidden_subgraph() -> ModelProto:
    attribute = AttributeProto(name="axis", type=AttributeProto.INT, i=1, g=_body())
    node = _node("Flatten", ["pixels"], ["more"])
    node.attribute.append(attribute)
    return model(node)


def _nested_functions() -> ModelProto:
    """Return functions of which each calls the next one twice, 62 deep."""
    found = model(_node("F0", ["pixels"], ["more"], domain="local"))
    for depth in range(62):
        nodes = [_node(f"F{depth + 1}", ["x"], [name], domain="local") for name in ("y", "z")]
        opsets = [helper.make_opsetid("local", 1)]
        found.functions.append(helper.make_function("local", f"F{depth}", ["x"], ["y"], nodes, opsets))
    return found


def _external(found: ModelProto) -> None:
    tensor = found.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")


def _dims(*sizes: int) -> ModelProto:
    found = model(x=np.zeros(0, np.float32))
    found.graph.initializer[-1].dims[:] = sizes
    return found


def _doubling(kind: str, times: int = 60) -> ModelProto:
    """Return a chain whose every value is twice, or the square of, the one before."""
    nodes = [_node("Flatten", ["pixels"], ["v0"], axis=0)]
    for place in range(times):
        last, new = f"v{place}", f"v{place + 1}"
        if kind == "Concat":
            nodes.append(_node("Concat", [last, last], [new], axis=1))
        elif kind == "Tile":
            nodes.append(_node("Tile", [last, "twice"], [new]))
        else:
            nodes.append(_node("Reshape", [last, "column"], [f"c{place}"]))
            nodes.append(_node("Reshape", [last, "row"], [f"r{place}"]))
            nodes.append(_node(kind, [f"c{place}", f"r{place}"], [new]))
    return model(*nodes, twice=np.array([1, 2]), column=np.array([-1, 1]), row=np.array([1, -1]))


def _folding(count: int) -> ModelProto:
    """Return ``count`` constants of a million elements, all of which a runtime would compute as it opens the graph."""
    nodes = [_node("ConstantOfShape", ["million"], [f"v{place}"]) for place in range(count)]
    return model(*nodes, million=np.array([2**20]))


def _sized(kind: str, inputs: Sequence[str], outputs: int = 1, **more: object) -> ModelProto:
    """Return a node of ``kind`` whose sizes are huge numbers among the weights."""
    attributes = {name: value for name, value in more.items() if not isinstance(value, np.ndarray)}
    constants = {name: value for name, value in more.items() if isinstance(value, np.ndarray)}
    return model(_node(kind, inputs, [f"more{place}" for place in range(outputs)], **attributes), **constants)


def _with_types(value: onnx.ValueInfoProto) -> ModelProto:
    return changed(lambda found: found.graph.value_info.append(value))


def _ending(kind: str) -> Callable[[ModelProto], None]:
    def change(found: ModelProto) -> None:
        pixels, label = found.graph.input[0], found.graph.output[0]
        if kind == "type":
            pixels.type.tensor_type.elem_type = TensorProto.DOUBLE
        elif kind == "shape":
            pixels.type.tensor_type.shape.dim[3].dim_value = 3
        elif kind == "second":
            found.graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2]))
        else:
            label.type.tensor_type.elem_type = TensorProto.INT64

    return change


_LONG = np.array([_FOREVER])
_HUGE = np.array([2**20, 1, 2**20, 2**20])
_true = np.array(True)

# What it is -> the model, and words of the refusal.
MODELS: Mapping[str, tuple[Callable[[], ModelProto], str]] = {
    "a loop of 2^62": (
        lambda: model(_node("Loop", ["trips", "go"], ["more"], body=_body()), trips=_LONG, go=_true),
        "attribute holds a subgraph",
    ),
    "a loop without its body": (lambda: model(_node("Loop", ["trips"], ["more"]), trips=_LONG), "rewrite the model"),
    "a scan": (lambda: model(_node("Scan", ["pixels"], ["more"], body=_body(), num_scan_inputs=1)), "a subgraph"),
    "a condition": (
        lambda: model(_node("If", ["go"], ["more"], then_branch=_body(), else_branch=_body()), go=_true),
        "a subgraph",
    ),
    "a subgraph in a number": (_hidden_subgraph, "a subgraph"),
    "nested functions": (_nested_functions, "a model holds a function"),
    "another domain": (lambda: model(_node("Odd", ["pixels"], ["more"], domain="elsewhere")), "elsewhere::Odd"),
    "a second opset": (lambda: changed(lambda m: m.opset_import.append(helper.make_opsetid("a", 1))), "domains"),
    "an unknown operator": (lambda: model(_node("Odd", ["pixels"], ["more"])), r"\(Odd\), which is not on the list"),
    **{
        kind: (lambda kind=kind: model(_node(kind, ["flat0"], ["more"]), flat0=np.ones((1, 4))), "draws at random")
        for kind in ("RandomUniformLike", "RandomNormalLike", "Bernoulli", "Multinomial")
    },
    "RandomNormal": (lambda: model(_node("RandomNormal", [], ["more"], shape=[4])), "draws at random"),
    "dropout in training": (
        lambda: model(_node("Dropout", ["pixels", "", "train"], ["more"]), train=_true),
        "Dropout.*is in training",
    ),
    "dropout whose training is computed": (
        lambda: model(
            _node("IsNaN", ["zero"], ["train"]), _node("Dropout", ["pixels", "", "train"], ["more"]), zero=_LONG
        ),
        "Dropout.*is in training",
    ),
    "a norm in training": (
        lambda: model(_node("BatchNormalization", ["pixels"] + ["one"] * 4, ["more"], training_mode=1), one=np.ones(1)),
        "depends on the whole batch",
    ),
    "an initializer twice": (
        lambda: changed(lambda m: m.graph.initializer.append(m.graph.initializer[0])),
        "two of the initializer 'matrix'",
    ),
    "raw and typed numbers": (
        lambda: changed(lambda m: m.graph.initializer[0].float_data.extend([1.0] * 8)),
        "'matrix' stored twice",
    ),
    "an initializer that is an input": (
        lambda: changed(
            lambda m: m.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 1, 2, 2)), "pixels"))
        ),
        "which are inputs too",
    ),
    "weights in another file": (lambda: changed(_external), "weights in another file"),
    "a shape that wraps round": (lambda: _dims(2**32, 2**32), "impossible shape"),
    "a shape that wraps round in small steps": (lambda: _dims(*[2**16] * 4), "with 0 numbers"),
    "a negative shape": (lambda: _dims(-1), "impossible shape"),
    "a shape of too many axes": (lambda: _dims(*[1] * 4000), "impossible shape"),
    "more numbers than the shape": (
        lambda: changed(lambda m: m.graph.initializer[0].dims.__setitem__(0, 3)),
        r"shape \[3, 2\] with 8 numbers",
    ),
    "texts as weights": (
        lambda: changed(lambda m: m.graph.initializer.append(helper.make_tensor("x", TensorProto.STRING, [1], [b"x"]))),
        "a tensor holds texts",
    ),
    "a text as an attribute": (lambda: model(_node("Constant", [], ["x"], value_string="x")), "which is text"),
    "texts as an attribute": (lambda: model(_node("Constant", [], ["x"], value_strings=["x"])), "a list of texts"),
    "a cast to text": (
        lambda: model(_node("Cast", ["pixels"], ["more"], to=TensorProto.STRING)),
        "casts to type 8",
    ),
    "a sequence": (
        lambda: _with_types(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)),
        "a type holds a sequence",
    ),
    "a sequence's operator": (lambda: model(_node("SequenceConstruct", ["pixels"], ["more"])), "not on the list"),
    "a sparse initializer": (
        lambda: changed(lambda m: m.graph.sparse_initializer.add().dims.append(_FOREVER)),
        "a sparse initializer",
    ),
    "a name twice": (lambda: model(_node("Neg", ["pixels"], ["logits"])), "which something else gives too"),
    "an initializer overwritten": (lambda: model(_node("Neg", ["pixels"], ["matrix"])), "something else gives too"),
    "a circle": (lambda: model(_node("Neg", ["logits"], ["x"])), "takes 'logits' before anything gives it"),
    "a future opset": (lambda: changed(lambda m: setattr(m.opset_import[0], "version", 2**40)), "opset 1099511627776"),
    "an old IR": (lambda: changed(lambda m: setattr(m, "ir_version", 3)), "IR version 3"),
    "a name over lines": (lambda: model(_node("Neg", ["pixels"], ["a\nb"])), "which no line can show"),
    "a name of a megabyte": (lambda: model(_node("Neg", ["pixels"], ["a" * 2**20])), "a text of 1048576 bytes"),
    "pixels of doubles": (lambda: changed(_ending("type")), "inputs 'pixels' of type 11"),
    "pixels of another size": (lambda: changed(_ending("shape")), r"'pixels' of type 1, \[batch, 1, 2, 3\]"),
    "a second output": (lambda: changed(_ending("second")), "outputs 'label'.*'logits'"),
    "labels of 64 bits": (lambda: changed(_ending("label")), "'label' of type 7"),
    "Tile": (lambda: _sized("Tile", ["pixels", "n"], n=_HUGE), r"\(Tile\), which"),
    "Expand": (
        lambda: _sized("Expand", ["pixels", "n"], n=np.array([2**30, 1, 1, 2, 2])),
        r"\(Expand\), which asks for",
    ),
    "ConstantOfShape": (lambda: _sized("ConstantOfShape", ["n"], n=_LONG), r"\(ConstantOfShape\), which gives a size"),
    "ConstantOfShape that wraps round": (
        lambda: _sized("ConstantOfShape", ["n"], n=np.array([2**31, 2**31, 4])),
        "asks for",
    ),
    "Resize": (
        lambda: _sized("Resize", ["pixels", "", "", "n"], n=np.array([1, 1, 2**30, 2**30])),
        "Resize.*asks for",
    ),
    "Resize by scales": (
        lambda: _sized("Resize", ["pixels", "", "n"], n=np.array([1, 1, 2e9, 2e9], np.float32)),
        "Resize.*gives a size",
    ),
    "Pad": (lambda: _sized("Pad", ["pixels", "n"], n=np.array([0, 0, 2**31 - 9, 0] * 2)), "Pad.*gives a size"),
    "Range": (
        lambda: _sized("Range", ["a", "b", "c"], a=np.array(0), b=np.array(_FOREVER), c=np.array(1)),
        "Range.*gives a size",
    ),
    "OneHot": (
        lambda: _sized("OneHot", ["i", "n", "v"], i=np.ones(9, np.int64), n=np.array(2**31), v=np.ones(2)),
        "OneHot.*computes",
    ),
    "convolution of much padding": (
        lambda: _sized("Conv", ["pixels", "w"], pads=[2**40] * 4, w=np.ones((1, 1, 1, 1), np.float32)),
        "has pads",
    ),
    "convolutions of long strides back": (
        lambda: _sized("ConvTranspose", ["pixels", "w"], strides=[2**16] * 2, w=np.ones((1, 99, 1, 1), np.float32)),
        "ConvTranspose.*asks for",
    ),
    "a shape beyond all floats": (
        lambda: _sized("ConstantOfShape", ["n"], n=np.full(60, 2**31)),
        "gives a shape of 60 axes",
    ),
    "channels fewer than none": (
        lambda: _sized("ConvTranspose", ["pixels", "w"], group=-(2**40), w=np.ones((1, 1, 1, 1), np.float32)),
        "gives a shape of 4 axes",
    ),
    "rows that are few at one batch alone": (
        lambda: model(_node("Slice", ["pixels", "n", "end"], ["x"]), n=np.array([1024]), end=np.array([2**31 - 1])),
        "gives a size of 0",
    ),
    "sizes that are no numbers": (
        lambda: _sized("Resize", ["pixels", "", "n"], n=np.array([1, 1, np.inf, np.nan], np.float32)),
        "not known before the graph runs",
    ),
    "a norm over channels that are not there": (
        lambda: _sized("LRN", ["pixels"], size=2**40),
        "has a window of 1099511627776",
    ),
    "sizes taken from pixels": (
        lambda: model(
            _node("Cast", ["pixels"], ["whole"], to=TensorProto.INT64),
            _node("Reshape", ["whole", "n"], ["size"]),
            _node("ConstantOfShape", ["size"], ["more"]),
            n=np.array([-1]),
        ),
        "not known before the graph runs",
    ),
    "sizes that grow with the batch squared": (
        lambda: model(
            _node("Shape", ["pixels"], ["n"], end=1),
            _node("Mul", ["n", "n"], ["n2"]),
            _node("ConstantOfShape", ["n2"], ["more"]),
        ),
        "not known before the graph runs",
    ),
    "pieces that double 60 times": (lambda: _doubling("Concat"), "Concat.*(asks for|gives a shape)"),
    "tiles that double 60 times": (lambda: _doubling("Tile"), "Tile.*asks for|gives a size"),
    "outer products": (lambda: _doubling("MatMul"), "multiplies two sizes"),
    "sums that square": (lambda: _doubling("Add"), "multiplies two sizes"),
    "a product of all with all": (
        lambda: model(
            *(_node("Einsum", ["n"] * 8, ["more"], equation="a,b,c,d,e,f,g,h->"),), n=np.ones(2**12, np.float32)
        ),
        "Einsum.*asks for",
    ),
    "a thousand constants of a million": (lambda: _folding(1000), "from weights alone"),
}
