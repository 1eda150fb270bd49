"""Engines are built by TensorRT-RTX for GPUs that are not here; TensorRT's own path runs on the same builder."""

import pytest

from purecert.engine.backends.tensorrt.build import BuildOptions, BuiltEngine, build_engine
from purecert.engine.backends.tensorrt.target import any_gpu
from purecert.engine.errors import BackendError, InputError, OutOfMemoryError
from purecert.engine.plans.plan import Plan


def _build(plan: Plan, *, capability: str = "sm_89", batch: int = 8, **options: int) -> BuiltEngine:
    target = any_gpu(capability)
    return build_engine("tensorrt-rtx", plan.read_graph(0.5), plan.record, batch, target, BuildOptions(**options))


@pytest.mark.slow
def test_the_demo_s_engine_has_the_precision_of_its_plan(built: BuiltEngine) -> None:
    report = built.report
    assert report.half_products == 23  # 14 convolutions of the U-Net, 9 of the ResNet
    assert len(report.fp32_products) == 1  # the last layer, which decides the vote
    assert report.inputs == ("pixels Half [8, 1, 8, 8]",)
    assert report.outputs == ("label Int32 [8]",)
    assert len(built.content) > 100_000
    assert built.seconds > 0
    assert built.timing_cache is None


@pytest.mark.slow
def test_the_fp32_plan_is_built_in_fp32(rtx: None, full_plan: Plan) -> None:
    report = _build(full_plan).report
    assert report.half_products == 0
    assert len(report.fp32_products) == 24


@pytest.mark.slow
def test_another_batch_and_level_make_another_engine(built: BuiltEngine, half_plan: Plan) -> None:
    other = _build(half_plan, batch=1, optimization_level=0)
    assert other.report.inputs == ("pixels Half [1, 1, 8, 8]",)
    assert other.content != built.content


@pytest.mark.parametrize("capability", ["sm_90", "sm_100", "sm_70"])
def test_a_gpu_that_tensorrt_rtx_does_not_know_is_refused(rtx: None, half_plan: Plan, capability: str) -> None:
    expected = rf"tensorrt-rtx [\d.]+ builds for sm_75, .*sm_89, .*, not for {capability} "
    with pytest.raises(BackendError, match=expected):
        _build(half_plan, capability=capability)


@pytest.mark.slow
def test_too_little_workspace_is_out_of_memory(rtx: None, half_plan: Plan) -> None:
    with pytest.raises(OutOfMemoryError, match=r"tensorrt-rtx [\d.]+ cannot build .* out of memory .* smaller --batch"):
        _build(half_plan, workspace_mib=1)


@pytest.mark.parametrize("batch", [0, -1])
def test_no_rows_are_refused(half_plan: Plan, batch: int) -> None:
    with pytest.raises(InputError, match=f"expected a batch of at least 1, got {batch}"):
        _build(half_plan, batch=batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimization_level": 6}, "optimisation level from 0 to 5, got 6"),
        ({"optimization_level": -1}, "optimisation level from 0 to 5, got -1"),
        ({"workspace_mib": 0}, "workspace of at least 1 MiB, got 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BuildOptions(**options)
