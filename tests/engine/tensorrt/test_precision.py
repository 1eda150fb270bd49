"""An engine whose layers do not have the plan's precision is refused, with the node's name."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from purecert.engine.errors import BackendError, CheckError
from purecert.engine.plan import Plan, PlanRecord
from purecert.engine.tensorrt.build import BuiltEngine
from purecert.engine.tensorrt.network import Product
from purecert.engine.tensorrt.precision import PrecisionReport, check_precision
from purecert.engine.tensorrt.report import parse_report
from support.layer_reports import ENDS, end, layer, report

_BATCH = 8
_HALF_WEIGHTS = [((16, 16, 3, 3), "Half"), ((1, 16, 1, 1), "Half")]
_CONVOLUTION = Product(node="conv", in_half=True, weighted=True)
_ATTENTION = Product(node="scores", in_half=True, weighted=False)
_HEAD = Product(node="head", in_half=False, weighted=True)

_CONVOLUTION_LAYER = layer("__myl_Corr", ["conv"], weights=_HALF_WEIGHTS)
_ATTENTION_LAYER = layer("fmha", ["scores"], inputs=["Half", "Half", "Half"])
_HEAD_LAYER = layer("gemm", ["head"], inputs=["Float"], weights=[((32, 10), "Float")], output="Float")


def _check(text: str, record: PlanRecord, *products: Product) -> PrecisionReport:
    return check_precision(parse_report(text), products, record, _BATCH)


def test_an_engine_of_the_plan_s_precision_is_counted(half_plan: Plan) -> None:
    text = report(_CONVOLUTION_LAYER, _ATTENTION_LAYER, _HEAD_LAYER)
    found = _check(text, half_plan.record, _CONVOLUTION, _ATTENTION, _HEAD)
    assert found == PrecisionReport(
        layers=3,
        half_products=2,
        fp32_products=("head",),
        inputs=("pixels Half [8, 1, 8, 8]",),
        outputs=("label Int32 [8]",),
    )
    assert found.summary().startswith("3 layers, 2 products in half, 1 in FP32 (head); ")


@pytest.mark.parametrize(
    "lines",
    [
        # FP32 scales behind the product, and one that is added in FP32
        [layer("__myl_CorrCastMulAdd", ["conv"], weights=[*_HALF_WEIGHTS, ((1, 16, 1, 1), "Float")])],
        [layer("__myl_CorrCastAdd", ["conv"], inputs=["Half", "Float"], weights=_HALF_WEIGHTS, output="Float")],
        # a residual in half; scalars of a scaled product
        [layer("__myl_CorrAdd", ["conv"], inputs=["Half", "Half"], weights=_HALF_WEIGHTS)],
        [layer("conv", ["conv"], weights=[*_HALF_WEIGHTS, ((1,), "Float"), ((1, 1), "Float")])],
        # layers that prepare or finish what another multiplies
        [_CONVOLUTION_LAYER, layer("__myl_Conc", ["conv"], weights=[((1, 7, 8, 8), "Half")])],
        [_CONVOLUTION_LAYER, layer("__myl_AddCast", ["conv"], weights=[((1, 16, 1, 1), "Float")], output="Float")],
        # an FP32 table that is added, smaller than the weights
        [layer("__myl_FcCastAdd", ["conv"], weights=[((768, 768), "Half"), ((197, 768), "Float")])],
    ],
)
def test_what_fusions_hold_beside_a_half_product_is_no_objection(half_plan: Plan, lines: Sequence[str]) -> None:
    assert _check(report(*lines), half_plan.record, _CONVOLUTION).half_products == 1


@pytest.mark.parametrize(
    "line",
    [
        layer("silent", ["conv"], inputs=["Float"], weights=[((16, 16, 3, 3), "Float")]),
        layer("silent", ["conv"], inputs=["Float"], weights=_HALF_WEIGHTS),
        layer("silent", ["conv"], weights=[((16, 16, 3, 3), "Float")]),
        layer("silent", ["conv"], inputs=["Half", "Float"], weights=_HALF_WEIGHTS),
        layer("silent", ["conv"], inputs=["BFloat16"], weights=[((16, 16, 3, 3), "BFloat16")]),
        layer("silent", ["conv"], inputs=["FP8"], weights=[((16, 16, 3, 3), "FP8")]),
        layer("silentCast", ["conv"], inputs=["Float"], weights=[((16, 16, 3, 3), "Half")]),
        layer("silent", ["conv"]),
    ],
    ids=["all", "inputs", "weights", "one input", "bfloat16", "fp8", "cast", "no weights"],
)
def test_a_half_product_in_another_precision_is_refused(half_plan: Plan, line: str) -> None:
    with pytest.raises(CheckError, match=r"expected node conv in half, but the engine computes it in layer silent"):
        _check(report(_ATTENTION_LAYER, line), half_plan.record, _ATTENTION, _CONVOLUTION)


def test_a_product_that_is_computed_in_both_precisions_is_refused(half_plan: Plan) -> None:
    other = layer("second", ["conv"], inputs=["Float"], weights=[((16, 16, 3, 3), "Float")])
    with pytest.raises(CheckError, match="expected node conv in half, but the engine computes it in layer second"):
        _check(report(_CONVOLUTION_LAYER, other), half_plan.record, _CONVOLUTION)


def test_attention_in_fp32_is_refused(half_plan: Plan) -> None:
    for inputs in (["Float", "Float"], ["Half", "Float"]):
        line = layer("fmha", ["scores"], inputs=inputs)
        with pytest.raises(CheckError, match="expected node scores in half, but the engine computes it in layer fmha"):
            _check(report(line), half_plan.record, _ATTENTION)


def test_an_island_may_read_half_through_a_cast(half_plan: Plan) -> None:
    """As TensorRT-RTX computes the last layer at batch 1."""
    line = layer("__myl_ReshCastReshMulSum", ["head"], weights=[((32, 10), "Float")], output="Float")
    assert _check(report(line), half_plan.record, _HEAD).fp32_products == ("head",)
    with pytest.raises(CheckError, match="expected node head in FP32"):
        _check(report(line.replace("Cast", "")), half_plan.record, _HEAD)


def test_an_island_in_half_is_refused(half_plan: Plan) -> None:
    with pytest.raises(CheckError, match="expected node head in FP32, but the engine computes it in layer gemm"):
        _check(report(layer("gemm", ["head"], weights=[((32, 10), "Half")])), half_plan.record, _HEAD)


def test_a_product_that_no_layer_names_is_refused(half_plan: Plan) -> None:
    lines = [layer("__myl_Corr", ["conv_1"], weights=_HALF_WEIGHTS), layer("__myl_Corr", weights=_HALF_WEIGHTS)]
    with pytest.raises(BackendError, match="no layer of the engine says that it computes node conv, so"):
        _check(report(*lines), half_plan.record, _CONVOLUTION)


@pytest.mark.parametrize("kind", ["PluginV2", "PluginV3", "Loop", "loop_body", "Recurrence", "TripLimit", "Condition"])
def test_a_plugin_or_loop_is_refused(half_plan: Plan, kind: str) -> None:
    with pytest.raises(BackendError, match=f"without plugin, loop and condition, found layer x of kind {kind}"):
        _check(report(_CONVOLUTION_LAYER, layer("x", kind=kind)), half_plan.record, _CONVOLUTION)


def test_a_second_stream_is_refused(half_plan: Plan) -> None:
    with pytest.raises(BackendError, match=r"expected an engine on one stream, found layer x .* on stream 1"):
        _check(report(_CONVOLUTION_LAYER, layer("x", stream=1)), half_plan.record, _CONVOLUTION)


@pytest.mark.parametrize(
    "ends",
    [
        [*ENDS, end("logits", "Output", "Float", [8, 10])],
        [*ENDS, ENDS[1]],
        ENDS[:1],
        [end("pixels", "Input", "Float", [8, 1, 8, 8]), ENDS[1]],
        [end("pixels", "Input", "Half", [16, 1, 8, 8]), ENDS[1]],
        [end("image", "Input", "Half", [8, 1, 8, 8]), ENDS[1]],
        [ENDS[0], end("label", "Output", "Int64", [8])],
    ],
    ids=["two outputs", "twice", "no output", "float input", "other batch", "other name", "wide label"],
)
def test_other_inputs_or_outputs_are_refused(half_plan: Plan, ends: Sequence[str]) -> None:
    with pytest.raises(BackendError, match="expected an engine with inputs and outputs"):
        _check(report(_CONVOLUTION_LAYER, ends=ends), half_plan.record, _CONVOLUTION)


# --- real reports


@pytest.fixture(scope="module")
def reports(rtx: None, half_plan: Plan, full_plan: Plan) -> tuple[str, str]:
    """Return what TensorRT-RTX says of the demo's engines, in FP16 and in FP32."""
    import tensorrt_rtx_bindings as library

    class Logger(library.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            library.ILogger.__init__(self)
            self.said: list[str] = []

        def log(self, severity: object, message: str) -> None:
            self.said.append(message)

    def build(plan: Plan) -> str:
        logger = Logger()
        builder = library.Builder(logger)
        network = builder.create_network(1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = library.OnnxParser(network, logger)
        assert parser.parse(plan.read_graph(0.5))
        config, profile = builder.create_builder_config(), builder.create_optimization_profile()
        profile.set_shape("pixels", *[(_BATCH, 1, 8, 8)] * 3)
        config.add_optimization_profile(profile)
        config.profiling_verbosity = library.ProfilingVerbosity.DETAILED
        config.num_compute_capabilities = 1
        config.set_compute_capability(library.ComputeCapability.SM89, 0)
        config.max_aux_streams = 0
        assert builder.build_serialized_network(network, config) is not None
        (text,) = [message for message in logger.said if message.startswith("Layers:")]
        return text

    return build(half_plan), build(full_plan)


def _demo_products(text: str) -> list[Product]:
    """Return the demo's products as its report's ONNX names have them: every convolution, and the last layer."""
    nodes = {node for node in re.findall(r"\[ONNX Layer: ([^\]]*)\]", text) if re.match(r"node_conv|node_Conv", node)}
    return [Product(node=node, in_half=True, weighted=True) for node in sorted(nodes)]


def test_a_real_fp16_engine_passes(reports: tuple[str, str], half_plan: Plan) -> None:
    products = _demo_products(reports[0])
    assert len(products) == 23
    assert _check(reports[0], half_plan.record, *products, _island()).half_products == 23


def test_a_real_fp32_engine_is_refused_where_half_was_asked_for(reports: tuple[str, str], full_plan: Plan) -> None:
    products = _demo_products(reports[1])
    assert len(products) == 23
    for product in products:
        with pytest.raises(CheckError, match=f"expected node {product.node} in half, but the engine computes it in"):
            _check(reports[1], full_plan.record, product)


def test_every_half_convolution_of_a_real_report_that_turns_float_is_refused(
    reports: tuple[str, str], half_plan: Plan
) -> None:
    """Types are changed in the text of the one layer that computes the node, all of them or those of its inputs."""
    for product in _demo_products(reports[0]):
        for section in ("Inputs", "Constants"):
            text = "\n".join(_turned(line, product.node, section) for line in reports[0].splitlines())
            assert text != reports[0]
            with pytest.raises(CheckError, match=f"expected node {product.node} in half"):
                _check(text, half_plan.record, product)


def _turned(line: str, node: str, section: str) -> str:
    if f"[ONNX Layer: {node}]" not in line:
        return line
    before, after = line.split(f", {section}: [", 1)
    content, rest = re.split(r"\], (?=Constants|Outputs)", after, maxsplit=1)
    return f"{before}, {section}: [{content.replace('Datatype: Half', 'Datatype: Float')}], {rest}"


def _island() -> Product:
    return Product(node="node_linear", in_half=False, weighted=True)


def test_the_check_of_a_build_is_this_one(built: BuiltEngine, reports: tuple[str, str], half_plan: Plan) -> None:
    products = _demo_products(reports[0])
    found = _check(reports[0], half_plan.record, *products, _island())
    assert built.report == replace(found, fp32_products=built.report.fp32_products)
