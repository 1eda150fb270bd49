"""Engines of the demo's plans, built once; TensorRT-RTX builds them without a GPU."""

import importlib.util
from pathlib import Path

import pytest

from purecert.engine.backends.tensorrt.build import BuildOptions, BuiltEngine, build_engine
from purecert.engine.backends.tensorrt.target import any_gpu
from purecert.engine.plans.plan import Plan, read_plan

BATCH = 8


def _require_rtx() -> None:
    # Without importing it: it loads a library of 1 GB, and what else is missing must fail the test.
    if importlib.util.find_spec("tensorrt_rtx_bindings") is None:
        pytest.skip("TensorRT-RTX is not installed (pip install 'purecert[dev]')")


@pytest.fixture(scope="session")
def rtx() -> None:
    """Skip the test where TensorRT-RTX is not installed."""
    _require_rtx()


@pytest.fixture(scope="session")
def half_plan(demo_plan_fp16: Path) -> Plan:
    """Return the FP16 plan of the demo model at sigma 0.5; tests copy it before they change it."""
    return read_plan(demo_plan_fp16)


@pytest.fixture(scope="session")
def full_plan(demo_plan: Path) -> Plan:
    """Return the FP32 plan of the same."""
    return read_plan(demo_plan)


@pytest.fixture(scope="session")
def built(rtx: None, half_plan: Plan) -> BuiltEngine:
    """Return the engine of ``half_plan`` in batches of 8."""
    onnx = half_plan.read_graph(0.5)
    return build_engine("tensorrt-rtx", onnx, half_plan.record, BATCH, any_gpu("sm_89"), BuildOptions())
