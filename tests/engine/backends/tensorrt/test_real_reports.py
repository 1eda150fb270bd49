"""The check of precision on what TensorRT-RTX says of the demo's real engines."""

import re
from dataclasses import replace

import onnx
import pytest

from purecert.engine.backends.tensorrt.build import BuiltEngine
from purecert.engine.backends.tensorrt.network import Product, Weight
from purecert.engine.backends.tensorrt.precision import PrecisionReport, check_precision
from purecert.engine.backends.tensorrt.report import parse_report
from purecert.engine.errors import CheckError
from purecert.engine.plans.plan import Plan, PlanRecord
from support.rtx_build import build_for_sm89

pytestmark = pytest.mark.slow

_BATCH = 8


def _check(text: str, record: PlanRecord, *products: Product) -> PrecisionReport:
    return check_precision(parse_report(text), products, record, _BATCH)


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
        build_for_sm89(library, builder, network, _BATCH)
        (text,) = [message for message in logger.said if message.startswith("Layers:")]
        return text

    return build(half_plan), build(full_plan)


def _demo_products(plan: Plan) -> list[Product]:
    """Return the demo's convolutions, with their weights, as the onnx package reads them."""
    graph = onnx.load_from_string(plan.read_graph(0.5)).graph
    extents = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    return [
        Product(
            node=node.name,
            in_half=True,
            weights=(Weight(name=node.input[1], extents=extents[node.input[1]]),),
            is_fixed=False,
        )
        for node in graph.node
        if node.op_type == "Conv"
    ]


def test_a_real_fp16_engine_passes(reports: tuple[str, str], half_plan: Plan) -> None:
    products = _demo_products(half_plan)
    assert len(products) == 23
    assert _check(reports[0], half_plan.record, *products, _island()).half_products == 23


def test_a_real_fp32_engine_is_refused_where_half_was_asked_for(reports: tuple[str, str], full_plan: Plan) -> None:
    products = _demo_products(full_plan)
    assert len(products) == 23
    for product in products:
        with pytest.raises(CheckError, match=f"expected node {product.node} in half, but the engine computes it in"):
            _check(reports[1], full_plan.record, product)


def test_every_half_convolution_of_a_real_report_that_turns_float_is_refused(
    reports: tuple[str, str], half_plan: Plan
) -> None:
    """Types are changed in the text of the one layer that computes the node, all of them or those of its inputs."""
    for product in _demo_products(half_plan):
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
    weights = (Weight(name="node_linear.weight", extents=(10, 32)),)
    return Product(node="node_linear", in_half=False, weights=weights, is_fixed=False)


def test_the_check_of_a_build_is_this_one(built: BuiltEngine, reports: tuple[str, str], half_plan: Plan) -> None:
    products = _demo_products(half_plan)
    found = _check(reports[0], half_plan.record, *products, _island())
    assert built.report == replace(found, fp32_products=built.report.fp32_products)
