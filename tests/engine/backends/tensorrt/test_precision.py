"""An engine whose layers do not have the plan's precision is refused, with the node's name."""

from collections.abc import Sequence

import pytest

from purecert.engine.backends.tensorrt.network import Product, Weight
from purecert.engine.backends.tensorrt.precision import PrecisionReport, check_precision
from purecert.engine.backends.tensorrt.report import parse_report
from purecert.engine.errors import BackendError, CheckError
from purecert.engine.plans.plan import Plan, PlanRecord
from support.layer_reports import ENDS, end, layer, report

_BATCH = 8
_HALF_WEIGHTS = [((16, 16, 3, 3), "Half"), ((1, 16, 1, 1), "Half")]


def _product(node: str, *extents: int, in_half: bool = True, is_fixed: bool = False) -> Product:
    """Return a product with a weight of these extents, or of two computed values where there are none."""
    weights = (Weight(name=f"{node}.weight", extents=extents),) if extents else ()
    return Product(node=node, in_half=in_half, weights=weights, is_fixed=is_fixed)


_CONVOLUTION = _product("conv", 16, 16, 3, 3)
_ATTENTION = _product("scores")
_HEAD = _product("head", 10, 32, in_half=False)

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
        # FP32 tables that are added, smaller and larger than the weights, and of room for them
        [layer("__myl_FcCastAdd", ["conv"], weights=[((144, 16), "Half"), ((97, 16), "Float")])],
        [layer("__myl_FcCastAdd", ["conv"], weights=[((16, 3, 3, 16), "Half"), ((1024, 768), "Float")])],
        # weights that are padded, counted, laid together with others
        [layer("conv", ["conv"], weights=[((32, 16, 4, 3), "Half"), ((1,), "Float")])],
        [layer("conv", ["conv"], weights=[((2304,), "Half"), ((1, 16, 1, 1), "Float")])],
        [layer("__myl_Fc", ["conv"], weights=[((48, 16, 3, 3), "Half")])],
        # slices, and weights that another layer brings: what is read decides
        [layer("__myl_SlicSlicMulMulAdd", ["conv"], weights=[((1, 16), "Half"), ((1, 16), "Half")])],
        [layer("__myl_SlicMulCastAdd", ["conv"], weights=[((1, 16), "Half"), ((1, 16), "Float")])],
        [layer("__myl_MulAdd", ["conv"], inputs=["Half", "Half"])],
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
        layer("silentCast", ["conv"], weights=[((16, 16, 3, 3), "Float"), ((1024, 768), "Half")]),
        layer("silent", ["conv"], inputs=["Float"]),
        layer("silent", ["conv"], inputs=["Float"], weights=[((1, 16), "Float"), ((1, 16), "Float")]),
    ],
    ids=["all", "inputs", "weights", "one input", "bfloat16", "fp8", "beside more half", "no weights", "slices"],
)
def test_a_half_product_in_another_precision_is_refused(half_plan: Plan, line: str) -> None:
    with pytest.raises(CheckError, match=r"expected node conv in half, but the engine computes it in layer silent"):
        _check(report(_ATTENTION_LAYER, line), half_plan.record, _ATTENTION, _CONVOLUTION)


@pytest.mark.parametrize(
    "line",
    [
        layer("vagueCast", ["conv"], inputs=["Float"], weights=[((16, 16, 3, 3), "Half")]),
        layer("vagueCast", ["conv"], inputs=["Float"]),
        layer("vague", ["conv"], weights=[((1, 16, 1, 1), "Float")]),
        layer("vague", ["conv"], inputs=[]),
        layer("vagueCast", ["conv"], weights=[((1, 16), "Half"), ((64, 16, 8, 8), "Float")]),
    ],
    ids=["cast", "cast without weights", "bias only", "nothing", "slices or a bias, and a table"],
)
def test_a_half_product_whose_type_is_not_shown_is_refused_as_that(half_plan: Plan, line: str) -> None:
    with pytest.raises(CheckError, match=r"expected node conv in half, which is not shown by layer vague\w* of kind"):
        _check(report(line), half_plan.record, _CONVOLUTION)


def test_the_surest_sign_of_weights_decides_among_layers(half_plan: Plan) -> None:
    """A constant of a preparing layer, with room for the weights, is no evidence where another layer has them."""
    pointwise = _product("conv", 16, 3, 1, 1)
    preparing = layer("__myl_CastConc", ["conv"], weights=[((8, 1, 32, 32), "Half")])
    for weights in ([((16, 3), "Float")], [((3, 16), "Float"), ((1024, 768), "Half")]):
        with pytest.raises(CheckError, match="expected node conv in half, but the engine computes it in layer other"):
            _check(report(preparing, layer("otherCast", ["conv"], weights=weights)), half_plan.record, pointwise)
    other = layer("other", ["conv"], weights=[((16, 3), "Half")])
    assert _check(report(preparing, other), half_plan.record, pointwise).half_products == 1


def test_a_product_of_constants_has_their_type(half_plan: Plan) -> None:
    """As TensorRT-RTX computes the embedding of a time that is the same for every row."""
    fixed = _product("time", 256, 1024, is_fixed=True)
    for name, matches in (("Half", True), ("Float", False)):
        text = report(layer("__myl_Fc", ["time"], inputs=[], weights=[((8, 256), name), ((256, 1024), name)]))
        if matches:
            assert _check(text, half_plan.record, fixed).half_products == 1
            continue
        with pytest.raises(CheckError, match=r"expected node time in half, but .* \(reads nothing; weights Float\)"):
            _check(text, half_plan.record, fixed)
    # One that is computed while the engine is built leaves no layer.
    assert _check(report(_CONVOLUTION_LAYER), half_plan.record, fixed).half_products == 1


@pytest.mark.parametrize("extents", [(1, 16, 1, 1), (16, 1), (1, 3, 1, 1)])
def test_weights_of_one_extent_are_weights(half_plan: Plan, extents: tuple[int, ...]) -> None:
    product = _product("conv", *extents)
    turned = tuple(sorted(extents))
    assert _check(report(layer("x", ["conv"], weights=[(turned, "Half")])), half_plan.record, product).half_products
    with pytest.raises(CheckError, match=r"in half, but the engine computes it in layer x .* \(reads Half; weights Fl"):
        _check(report(layer("x", ["conv"], weights=[(turned, "Float")])), half_plan.record, product)


def test_an_island_fused_with_a_larger_half_constant_is_known_by_its_own_weights(half_plan: Plan) -> None:
    table = ((1024, 768), "Half")
    text = report(layer("__myl_AddCastFc", ["head"], weights=[table, ((32, 10), "Float")]))
    assert _check(text, half_plan.record, _HEAD).fp32_products == ("head",)
    text = report(layer("__myl_AddCastFc", ["head"], weights=[((1024, 768), "Float"), ((32, 10), "Half")]))
    with pytest.raises(CheckError, match=r"expected node head in FP32, but .* \(reads Half; weights Half\)"):
        _check(text, half_plan.record, _HEAD)


def test_the_weights_of_another_product_of_the_same_layer_are_not_a_product_s_own(half_plan: Plan) -> None:
    """As TensorRT-RTX fuses a convolution to one channel, in slices, with the FP32 head behind it at batch 1."""
    mix = _product("mix", 1, 3, 1, 1)
    slices = [((1, 1, 1), "Half")] * 4
    text = report(layer("__myl_SlicMulCastSum", ["mix", "head"], weights=[*slices, ((32, 10), "Float")]))
    assert _check(text, half_plan.record, mix, _HEAD).half_products == 1
    for reads in ("Half", "Float"):
        text = report(layer("__myl_SlicMulSum", ["mix"], inputs=[reads], weights=[((3, 1), "Float")]))
        with pytest.raises(CheckError, match="expected node mix in half, but the engine computes it in"):
            _check(text, half_plan.record, mix, _HEAD)


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
