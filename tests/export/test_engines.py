"""engine-export builds engines ahead, after the plan is there, and refuses before where it could not."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor, nn
from torch.nn import functional

from purecert.engine.backends.tensorrt.build import BuildOptions
from purecert.engine.backends.tensorrt.target import any_gpu
from purecert.engine.errors import BackendError, CheckError
from purecert.engine.plans.plan import Plan, read_plan
from purecert.engine.plans.trust import tag_path
from purecert.export.commands import export_command
from purecert.export.engines import build_ahead
from purecert.export.fusing.fuse import FusedModel

pytestmark = pytest.mark.slow


@pytest.fixture
def rtx() -> None:
    """Skip the test where TensorRT-RTX is not installed."""
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT-RTX is not installed (pip install 'purecert[dev]')")


@pytest.fixture
def plan(fp16_plan: Plan, tmp_path: Path) -> Plan:
    """Return a copy of a small FP16 plan."""
    shutil.copytree(fp16_plan.directory, tmp_path / "plan")
    return read_plan(tmp_path / "plan")


def _export(output: Path, *options: object) -> Result:
    arguments = ["demo", "-o", output, "--sigma", 0.25, "--parity-draws", 400, *options]
    return CliRunner().invoke(export_command, [str(argument) for argument in arguments])


def _engines(plan: Path) -> list[Path]:
    return sorted((plan / "cache").glob("*.engine"))


@pytest.mark.nightly
def test_every_sigma_s_engine_is_built_and_told(rtx: None, tmp_path: Path) -> None:
    options = ["--sigma", 0.5, "--tensorrt-rtx", "--gpu", "sm_89", "--batch", 16]
    result = _export(tmp_path / "plan", *options)
    assert result.exit_code == 0, result.output
    engines = _engines(tmp_path / "plan")
    assert [path.name.split("-tensorrt")[0] for path in engines] == ["sigma-0.25", "sigma-0.5"]
    assert all(tag_path(path).is_file() for path in engines)
    said = [line for line in result.stderr.splitlines() if line.startswith("engine of sigma ")]
    assert [line.split(" for ")[0] for line in said] == ["engine of sigma 0.25", "engine of sigma 0.5"]
    assert all("23 products in half, 1 in FP32" in line and "pixels Half [16, 1, 8, 8]" in line for line in said)
    told = result.stdout.splitlines()[-2:]
    assert [line.split(": ")[0] for line in told] == [str(path) for path in engines]


@pytest.mark.nightly
def test_programs_are_told_of_the_engines_too(rtx: None, tmp_path: Path) -> None:
    result = _export(tmp_path / "plan", "--tensorrt-rtx", "--gpu", "sm_120", "--json")
    assert result.exit_code == 0, result.output
    (engine,) = json.loads(result.stdout)["engines"]
    (path,) = _engines(tmp_path / "plan")
    assert (engine["file"], engine["bytes"]) == (str(path), path.stat().st_size)
    assert engine["report"]["half_products"] == 23
    assert engine["report"]["inputs"] == ["pixels Half [256, 1, 8, 8]"]  # the default batch


@pytest.mark.nightly
def test_the_builder_s_options_reach_the_engines(rtx: None, tmp_path: Path) -> None:
    options = ["--tensorrt-rtx", "--gpu", "sm_89", "--builder-level", 1, "--workspace-mib", 4096]
    result = _export(tmp_path / "plan", *options)
    assert result.exit_code == 0, result.output
    (path,) = _engines(tmp_path / "plan")
    found = json.loads(path.with_suffix(".json").read_text())["options"]
    assert (found["optimization_level"], found["workspace_mib"]) == (1, 4096)


@pytest.mark.nightly
def test_too_little_workspace_is_told_once(rtx: None, tmp_path: Path) -> None:
    result = _export(tmp_path / "plan", "--tensorrt-rtx", "--gpu", "sm_89", "--workspace-mib", 1)
    assert result.exit_code == 5, result.output
    (line,) = [line for line in result.stderr.splitlines() if "out of memory" in line]
    assert "try a smaller --batch; the plan in " in line


@pytest.mark.nightly
def test_the_plan_of_an_export_without_engines_has_none(tmp_path: Path) -> None:
    result = _export(tmp_path / "plan", "--precision", "fp32", "--json")
    assert result.exit_code == 0, result.output
    assert "engines" not in json.loads(result.stdout)
    assert _engines(tmp_path / "plan") == []


def _fails_at_once(output: Path, options: Sequence[object], code: int) -> str:
    result = _export(output, *options)
    assert result.exit_code == code, result.output
    assert not output.exists()
    (line,) = result.stderr.splitlines()  # not a word of exporting
    return line


def test_tensorrt_without_the_library_ends_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    line = _fails_at_once(tmp_path / "plan", ["--tensorrt"], 3)
    assert "expected tensorrt to be installed" in line
    assert "pip install 'purecert[tensorrt]'" in line


def test_rtx_without_a_gpu_says_how_to_build_for_another(
    rtx: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycuda", None)
    line = _fails_at_once(tmp_path / "plan", ["--tensorrt-rtx"], 3)
    assert "expected pycuda" in line
    assert "or build for another machine's with --gpu, such as sm_89" in line


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--tensorrt-rtx", "--gpu", "sm_90"], 3, "builds for sm_75, sm_80, "),
        (["--tensorrt-rtx", "--gpu", "hopper"], 2, "expected a compute capability such as sm_89, got 'hopper'"),
        (["--tensorrt-rtx", "--gpu", "sm_89", "--batch", 0], 2, "expected --batch of at least 1, got 0"),
        (["--gpu", "sm_89"], 2, "--gpu is what --tensorrt-rtx builds for"),
        (["--tensorrt", "--gpu", "sm_89"], 2, "--gpu is what --tensorrt-rtx builds for"),
        (["--batch", 8], 2, "--batch is the engines'"),
        (["--builder-level", 3], 2, "--builder-level and --workspace-mib are the engines'"),
        (["--workspace-mib", 512], 2, "--builder-level and --workspace-mib are the engines'"),
        (["--tensorrt-rtx", "--gpu", "sm_89", "--builder-level", 6], 2, "optimisation level from 0 to 5, got 6"),
        (["--tensorrt-rtx", "--gpu", "sm_89", "--workspace-mib", 0], 2, "workspace of at least 1 MiB, got 0"),
    ],
)
def test_what_cannot_be_built_is_refused_before_the_work(
    rtx: None, tmp_path: Path, options: list[object], code: int, message: str
) -> None:
    assert message in _fails_at_once(tmp_path / "plan", options, code)


def test_engines_are_built_ahead_under_this_machine_s_tag(rtx: None, plan: Plan) -> None:
    lines: list[str] = []
    (engine,) = build_ahead(plan, 8, "tensorrt-rtx", any_gpu("sm_89"), BuildOptions(), lines.append)
    assert engine.path.parent == plan.directory / "cache"
    # The stem, the body, the head, and the attention's two products and its 1 x 1 convolution.
    assert engine.report.half_products == 5
    assert len(engine.report.fp32_products) == 1
    assert len(lines) == 1
    assert build_ahead(plan, 8, "tensorrt-rtx", any_gpu("sm_89")) == (engine,)


def test_a_failed_engine_leaves_the_plan_and_says_so(rtx: None, plan: Plan) -> None:
    files = sorted(path.name for path in plan.directory.rglob("*"))
    with pytest.raises(BackendError, match=r"not for sm_90 .*; the plan in .* is complete, without this engine"):
        build_ahead(plan, 8, "tensorrt-rtx", any_gpu("sm_90"))
    assert sorted(path.name for path in plan.directory.rglob("*")) == files


def test_a_plan_whose_islands_are_not_declared_gets_no_engine(rtx: None, plan: Plan) -> None:
    record = json.loads((plan.directory / "plan.json").read_text())
    record["fp32_islands"] = {}
    (plan.directory / "plan.json").write_text(json.dumps(record))
    with pytest.raises(CheckError, match=r"node node_\w+ multiplies in FLOAT, .* is complete, without this engine"):
        build_ahead(read_plan(plan.directory), 8, "tensorrt-rtx", any_gpu("sm_89"))
    assert _engines(plan.directory) == []


class _Filter(nn.Module):
    """A fixed filter, which an FP16 plan keeps in FP32."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("taps", torch.tensor([[1.0, 2.0, 1.0]]) / 4)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.get_buffer("taps")[None, None], padding=(0, 1))


class _Filtered(nn.Module):
    """A filter between two convolutions, whose results are half."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 1, 3, padding=1)
        self.filter = _Filter()
        self.body = nn.Conv2d(1, 4, 3)
        self.head = nn.Linear(4 * 36, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(self.filter(self.stem(x))).flatten(1))
        return logits


def test_an_island_that_the_library_narrows_is_refused(
    rtx: None, make_plan: Callable[..., Plan], tmp_path: Path
) -> None:
    """TensorRT-RTX 1.7 takes the casts around an FP32 filter away and filters in half."""
    torch.manual_seed(3)
    plan = make_plan(FusedModel(_Filtered()).eval().requires_grad_(False), tmp_path / "plan", "fp16")
    assert "network.filter" in plan.record.fp32_islands
    with pytest.raises(CheckError, match=r"expected node node_\w+ in FP32, but the engine computes it in layer .*Half"):
        build_ahead(plan, 8, "tensorrt-rtx", any_gpu("sm_89"))
    assert _engines(plan.directory) == []
