"""TensorRT's backend with everything real but the GPU (``support/fake_cuda``, ``support/fake_tensorrt.py``)."""

import os
import shutil
from pathlib import Path

import pytest

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.backends.tensorrt.target import any_gpu
from purecert.engine.errors import BackendError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import read_plan
from purecert.export.engines import build_ahead
from support.fake_cuda.cases import needs_pycuda, run_cases


@pytest.mark.slow
@needs_pycuda
def test_the_backend_certifies_on_the_fake_driver(
    demo_plan_fp16: Path, fake_cuda_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed: pip install '.[tensorrt-rtx]'")
    plan = read_plan(Path(shutil.copytree(demo_plan_fp16, tmp_path / "plan", ignore=shutil.ignore_patterns("cache"))))
    (engine,) = build_ahead(plan, 32, "tensorrt-rtx", any_gpu("sm_89"))
    assert engine.path.parent == plan.directory / "cache"
    other = read_plan(Path(shutil.copytree(plan.directory, tmp_path / "other", ignore=shutil.ignore_patterns("cache"))))
    (other_engine,) = build_ahead(other, 16, "tensorrt-rtx", any_gpu("sm_89"))
    monkeypatch.setenv("PURECERT_TEST_PLAN", str(plan.directory))
    monkeypatch.setenv("PURECERT_TEST_OTHER_ENGINE", str(other_engine.path))
    monkeypatch.setenv("PURECERT_TEST_CONFIG", os.environ["XDG_CONFIG_HOME"])
    run_cases(Path(__file__).with_name("tensorrt_cases.py"), fake_cuda_library, tmp_path / "report.xml")


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx", "onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_without_a_gpu_each_backend_says_what_is_missing(demo_plan_fp16: Path, name: str) -> None:
    """Which of library, driver and GPU it is depends on the machine; none of them falls back to the processor."""
    plan, digits = read_plan(demo_plan_fp16), load_dataset("digits:test[:4]")
    with pytest.raises(BackendError, match=r"expected|needs the package|install"):
        open_backend(plan, 0.5, 1, BackendOptions(name=name, batch=8), digits.images, digits.indices)
