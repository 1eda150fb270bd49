"""engine-export, as a user meets it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from purecert.engine.plans.plan import read_plan
from purecert.export.commands import export_command
from purecert.export.engines import ENGINE_BATCH
from purecert.train.models.checkpoints import Model, save_model
from purecert.train.models.preprocessing import Preprocessing, PreprocessingConfig
from purecert.train.networks.resnet import ResNet, ResNetConfig
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier
from support.commands import engine

_GATED = ["torch", "onnxruntime", *(["openvino"] if find_spec("openvino") else [])]

pytestmark = pytest.mark.slow  # whole exports


def _save(path: Path, *, data: str | None = None, loud: bool = False) -> Path:
    """Write a classifier of digits without a purifier; ``loud`` lets it leave half precision."""
    torch.manual_seed(4)
    classifier = ResNet(ResNetConfig(classes=10, in_channels=1, blocks=(1,), widths=(8,)))
    if loud:
        nn.init.constant_(classifier.bn1.weight, 4e4)
    model = Model(
        purifier=IdentityPurifier(IdentityConfig()),
        classifier=classifier.eval().requires_grad_(False),
        preprocessing=Preprocessing(PreprocessingConfig(mean=(0.5,), std=(0.5,))),
        input_shape=(1, 8, 8),
        classes=10,
        data=data,
        sources=("made by a test",),
        licence="none",
    )
    save_model(model, path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model file that names no data set."""
    return _save(tmp_path_factory.mktemp("model") / "model.pt")


def _export(*arguments: object) -> Result:
    return CliRunner().invoke(export_command, [str(argument) for argument in arguments])


def _fails(arguments: Sequence[object], code: int) -> str:
    """Return the one line that the command ends with."""
    result = _export(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    return last


def test_results_are_on_stdout_and_talk_on_stderr(model: Path, tmp_path: Path) -> None:
    arguments = [model, "-o", tmp_path / "plan", "--sigma", "0.1,0.2", "--data", "digits:test[:20]"]
    result = _export(*arguments, "--parity-draws", 400, "--precision", "fp32")
    assert result.exit_code == 0, result.output
    graphs, parity = result.stdout.splitlines()[:2], result.stdout.splitlines()[2:]
    assert graphs == [f"{tmp_path / 'plan'}/sigma-{sigma}.onnx: sigma {sigma}, fp32" for sigma in (0.1, 0.2)]
    assert [line.split(":")[0] for line in parity] == [f"parity on {name} (fp32)" for name in _GATED]
    assert all(line.endswith("parity: reduced") for line in parity)
    assert "exporting sigma 0.1 in fp32" in result.stderr


@pytest.mark.slow
@pytest.mark.nightly
def test_a_process_of_its_own_writes_a_plan_and_no_warning(model: Path, tmp_path: Path) -> None:
    arguments: list[str | Path] = [model, "-o", tmp_path / "plan", "--sigma", "0.1", "--data", "digits:test[:20]"]
    ended = engine("export", *arguments, "--parity-draws", "400", "--json").expect(0)
    plan = read_plan(tmp_path / "plan")
    found = json.loads(ended.out)
    assert (found["plan"], found["digest"], found["precision"]) == (str(plan.directory), plan.digest, "fp16")
    assert [entry["backend"] for entry in found["parity"]] == _GATED
    said = ended.err.splitlines()
    assert [line.split(" ")[0] for line in said] == ["exporting", "in", *(["parity"] * len(_GATED))]


def test_the_data_set_that_the_model_names_is_the_default(tmp_path: Path) -> None:
    named = _save(tmp_path / "model.pt", data="digits:test[:20]")
    result = _export(named, "-o", tmp_path / "plan", "--sigma", 0.1, "--parity-draws", 20, "--precision", "fp32")
    assert result.exit_code == 0, result.output
    assert "parity images: digits:test[:20], which the model file names" in result.stderr


def test_overflow_ends_with_4_and_no_plan(tmp_path: Path) -> None:
    loud = _save(tmp_path / "model.pt", data="digits:test[:20]", loud=True)
    line = _fails([loud, "-o", tmp_path / "plan", "--sigma", 0.1, "--parity-draws", 20], 4)
    assert "FP16 ends at 65,504" in line
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sigma", "0.1"], "expected --data, since the model file names no data set"),
        (["--sigma", "much", "--data", "digits:test"], "expected --sigma as a number, or several with commas"),
        (["--sigma", "0", "--data", "digits:test"], "expected sigma to be a finite number > 0"),
        (["--sigma", "20", "--data", "digits:test"], "choose a smaller sigma"),
        (["--sigma", "0.5,0.5", "--data", "digits:test"], "each once"),
        (["--sigma", "0.5", "--data", "digits:test[:5]"], "at least 20 images"),
        (["--sigma", "0.5", "--data", "digits:test", "--parity-draws", "0"], "--parity-draws of at least 1"),
        (["--sigma", "0.5", "--data", "nothing:test"], "nothing"),
        (["--sigma", "0.5", "--data", "digits:test", "--precision", "int4"], "'int4' is not one of"),
        (["--data", "digits:test"], "Missing option '--sigma'"),
    ],
)
def test_bad_input_ends_with_2_and_one_line(model: Path, tmp_path: Path, options: Sequence[str], message: str) -> None:
    assert message in _fails([model, "-o", tmp_path / "plan", *options], 2)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_none_ends_with_2(tmp_path: Path) -> None:
    line = _fails([tmp_path / "absent.pt", "-o", tmp_path / "plan", "--sigma", 0.5, "--data", "digits:test"], 2)
    assert "absent.pt" in line


def test_an_existing_output_ends_with_2_before_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "plan").mkdir()
    line = _fails([tmp_path / "absent.pt", "-o", tmp_path / "plan", "--sigma", 0.5, "--data", "digits:test"], 2)
    assert "exists already" in line


def test_help_loads_no_heavy_module() -> None:
    code = (
        "import sys; from purecert.export.commands import export_command\n"
        "try: export_command(['--help'])\n"
        "except SystemExit: print({'torch', 'onnx', 'numpy', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--parity-draws" in done.stdout
    assert done.stdout.splitlines()[-1] == "set()"


def test_help_names_the_batch_of_the_engines() -> None:
    batch = next(option for option in export_command.params if option.name == "batch")
    assert isinstance(batch, click.Option)
    assert f"[default: {ENGINE_BATCH}]" in (batch.help or "")
