"""Layer reports are read in every form that the libraries write."""

import pytest

from purecert.engine.backends.tensorrt.report import parse_report
from purecert.engine.errors import BackendError
from support.layer_reports import end, layer, report

# As TensorRT 8 to 10 write a convolution that is no part of a fusion, and their inspector an end.
_OLDER = (
    "Name: node_a + node_relu, LayerType: CaskConvolution, Inputs: [ { Name: x [1], Dimensions: [8,1,8,8], "
    "Format/Datatype: Channel major FP16 format where channel % 8 == 0 }], Outputs: [ { Name: y, Dimensions: "
    "[8,16,8,8], Format/Datatype: Row major linear FP32 }], ParameterType: Convolution, Kernel: [3,3], Weights: "
    '{"Type": "Half", "Count": 144}, Bias: {"Type": "Half", "Count": 16}, HasReLU: 1, TacticName: sm80_xmma_f16f16, '
    "StreamId: 0, Metadata: [ONNX Layer: node_a]\x1e[ONNX Layer: node_relu]"
)
_OLDER_END = "Name: pixels, IOMode: INPUT, DataType: HALF, Dimensions: [8, 1, 8, 8]"


def test_a_fused_layer_is_read() -> None:
    line = layer("__myl_Corr", ["node_a", "node_b"], inputs=["Half", "Float"], weights=[((16, 1, 3, 3), "Half")])
    (found,) = parse_report(report(line)).layers
    assert (found.name, found.kind, found.nodes) == ("__myl_Corr", "runtime_fusion", {"node_a", "node_b"})
    assert [(entry.extents, entry.type) for entry in found.inputs] == [
        ((8, 16, 4, 4), "Half"),
        ((8, 16, 4, 4), "Float"),
    ]
    assert [(entry.extents, entry.elements, entry.type) for entry in found.constants] == [((16, 1, 3, 3), 144, "Half")]
    assert [entry.type for entry in found.outputs] == ["Half"]


def test_an_older_convolution_is_read() -> None:
    found = parse_report(f"Layers:\n{_OLDER}\n\nBindings:\npixels\n{_OLDER_END}")
    (only,) = found.layers
    assert only.nodes == {"node_a", "node_relu"}
    assert [(entry.name, entry.type) for entry in only.inputs] == [("x [1]", "Half")]
    assert [entry.type for entry in only.outputs] == ["Float"]
    assert [(entry.elements, entry.type) for entry in only.constants] == [(144, "Half")]
    assert [(e.name, e.mode, e.type, e.extents) for e in found.ends] == [("pixels", "Input", "Half", (8, 1, 8, 8))]


def test_a_layer_without_metadata_is_known_by_its_name() -> None:
    lines = [layer("node_a + node_b"), layer("node_c_myl0_12"), layer("__myl_Move_myl0_9")]
    names = [found.nodes for found in parse_report(report(*lines)).layers]
    assert names == [{"node_a", "node_b"}, {"node_c"}, {"__myl_Move"}]


def test_scales_and_biases_are_no_matrices() -> None:
    constants = [((1,), "Float"), ((1, 16, 1, 1), "Float"), ((4, 8), "Float"), ((16, 16, 3, 3), "Half")]
    (found,) = parse_report(report(layer("a", weights=constants))).layers
    assert [constant.is_matrix for constant in found.constants] == [False, False, True, True]


@pytest.mark.parametrize(
    ("word", "type_"),
    [
        *(("Half", "Half"), ("FP16", "Half"), ("Float", "Float"), ("FP32", "Float"), ("TF32", "Float")),
        *(("BF16", "BFloat16"), ("BFloat16", "BFloat16"), ("INT8", "quantised"), ("FP8", "quantised")),
        ("Int32", "Int32"),
    ],
)
def test_every_version_s_word_for_a_type_is_known(word: str, type_: str) -> None:
    (found,) = parse_report(report(layer("a", inputs=[word]))).layers
    assert [entry.type for entry in found.inputs] == [type_]


@pytest.mark.parametrize(
    "text",
    ["", "Layers:", "Layers:\n" + layer("a"), "Layers:\n" + end("pixels", "Input", "Half", [8])],
    ids=["nothing", "no layer", "no ends", "ends only"],
)
def test_a_report_without_layers_or_ends_is_refused(text: str) -> None:
    with pytest.raises(BackendError, match="expected the library's report of the engine's layers, found"):
        parse_report(text)


@pytest.mark.parametrize(
    "damage",
    [("Name: a,", "Nom: a,"), ("Datatype:", "Type:"), ("Dimensions:", "Shape:"), ("Constants: [ ", "Constants: [ [ ")],
)
def test_a_line_of_another_form_is_refused(damage: tuple[str, str]) -> None:
    with pytest.raises(BackendError, match="expected a line of the library's layer report, found"):
        parse_report(report(layer("a", weights=[((4, 4), "Half")]).replace(*damage)))
