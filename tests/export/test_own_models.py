"""Classifiers from files: what runs, what is code, and the way out for what says no network."""

import json
import re
import runpy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from purecert.engine.errors import InputError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import read_plan
from purecert.export.commands import export_command
from purecert.export.own_models import own_module
from purecert.export.ways_out import way_out
from support.checkpoint_files import write_safetensors

_FILE = """
import sys

import torch
from sizes import WIDTH
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, WIDTH, 3), nn.BatchNorm2d(WIDTH), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(36 * WIDTH, 10)

    def forward(self, x):
        return self.head(self.body(x))


def made():
    torch.manual_seed(5)
    return Net().eval()


net, number = made(), 7


def broken():
    raise RuntimeError("no weights here")


def ends():
    sys.exit()


def other_weights():
    made().load_state_dict({})


print("weights are read")
"""


class _Whole(nn.Module):
    """A network of a module that Python can import, as pickles need it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(144, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(x))
        return logits


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a network in a Python file, and every form in which people save it."""
    where = tmp_path_factory.mktemp("own")
    (where / "own.py").write_text(_FILE)
    (where / "sizes.py").write_text("WIDTH = 4\n")
    net = own_module(f"python:{where}/own.py:net", trusts=False)
    state, whole = net.state_dict(), _Whole()
    whole.load_state_dict(state)
    torch.save(state, where / "weights.pt")
    torch.save(state, where / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "optimizer": {"lr": 0.1}, "state_dict": state}, where / "trainer.pth")
    parallel = {f"module.{key}": value for key, value in state.items()}
    torch.save({"arch": "net", "state_dict": parallel, "best_acc1": torch.tensor(0.9)}, where / "imagenet.pth.tar")
    other = {key: torch.zeros_like(value) for key, value in state.items()}
    torch.save({"optimizer": {"m": torch.ones(3)}, "model": other, "model_ema": state}, where / "averaged.pth")
    write_safetensors(where / "weights.safetensors", state)
    torch.save(whole, where / "whole.pt")
    torch.save(whole, where / "whole-legacy.pth", _use_new_zipfile_serialization=False)
    with warnings.catch_warnings(action="ignore"):  # deprecated, but what people have
        torch.jit.save(torch.jit.trace(whole.eval(), torch.zeros(2, 1, 8, 8)), where / "script.pt")
    images = (torch.zeros(3, 1, 8, 8),)
    for name, shapes in (("fixed", None), ("own", ({0: torch.export.Dim("batch")},))):
        torch.export.save(torch.export.export(net, images, dynamic_shapes=shapes), where / f"{name}.pt2")
    return where


def _export(*arguments: str | Path) -> tuple[int, str]:
    ended = CliRunner().invoke(export_command, [str(argument) for argument in arguments])
    return ended.exit_code, ended.stderr.strip()


@pytest.mark.slow
def test_a_python_file_a_program_and_an_onnx_file_vote_alike(folder: Path, tmp_path: Path) -> None:
    common = ["--sigma", "0.25", "--data", "digits:test[:20]", "--parity-draws", "400", "--precision", "fp32"]
    sees = ["--input-range", "-1", "1", "--mean", "0.1", "--std", "0.5", "--class-names", ",".join("abcdefghij")]
    module = own_module(f"python:{folder}/own.py:net", trusts=False)
    shapes = ({0: torch.export.Dim("batch")},)
    example = (torch.zeros(3, 1, 8, 8),)
    with warnings.catch_warnings(action="ignore"):  # PyTorch's own
        torch.onnx.export(
            module, example, folder / "own.onnx", dynamic_shapes=shapes, external_data=False, verbose=False
        )
    plans = {}
    for name in ("python:own.py:made", "own.pt2", "own.onnx"):
        where = name.replace("python:", f"python:{folder}/") if ":" in name else folder / name
        trust = ["--trust"] if name == "own.pt2" else []
        out = tmp_path / name.replace(":", "-")
        ended = CliRunner().invoke(export_command, [*map(str, (where, "-o", out, *common, *sees, *trust)), "--json"])
        assert ended.exit_code == 0, ended.stderr
        assert json.loads(ended.stdout)["plan"] == str(out)  # what the file prints is not in it
        assert "chosen: input range: pixels 0 and 255 become -1 and 1" in ended.stderr
        plans[name] = read_plan(out)
        record = plans[name].record
        assert (record.sources, record.class_names) == ((name,), tuple("abcdefghij"))
        assert record.choices[:3] == ("input range: pixels 0 and 255 become -1 and 1", "mean: 0.1", "std: 0.5")
    images = load_dataset("digits:test[:100]").images.astype(np.float32)
    noise = np.random.default_rng(0).standard_normal((20, *images.shape)).astype(np.float32)
    rows = np.rint(images + 255 * 0.25 * noise).reshape(2000, 1, 8, 8)
    with torch.no_grad():
        expected = module((torch.from_numpy(rows) / 127.5 - 1 - 0.1) / 0.5).argmax(dim=1).numpy()
    assert len(set(expected.tolist())) > 3
    for plan in plans.values():
        session = ort.InferenceSession(plan.read_graph(0.25), providers=["CPUExecutionProvider"])
        np.testing.assert_array_equal(session.run(["label"], {"pixels": rows})[0], expected)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("python:FOLDER/own.py:nothing", "expected nothing to be a torch.nn.Module, or to return one, found nothing"),
        ("python:FOLDER/own.py:number", "expected number to be a torch.nn.Module, or to return one, found int"),
        ("python:FOLDER/own.py:broken", r"own.py:\d+: RuntimeError: no weights here"),
        ("python:FOLDER/own.py:ends", r"own.py:32: SystemExit:"),
        (
            "python:FOLDER/own.py:other_weights",
            r"own.py:36: RuntimeError: Error\(s\) in loading state_dict for Net: Missing",
        ),
        ("python:FOLDER/syntax.py:net", r"syntax.py:2: SyntaxError: "),
        ("python:FOLDER/absent.py:net", "expected a Python file, found none"),
        ("python:FOLDER/own.py", "expected python:FILE.py:NAME, got"),
        ("FOLDER/fixed.pt2", "for any batch, found one for 3 images; export it with"),
        ("FOLDER/absent.pt2", "torch.export.save wrote, found none"),
        ("FOLDER/odd.pt2", "torch.export.save wrote, found: "),
    ],
)
def test_what_gives_no_module_is_refused(folder: Path, name: str, words: str) -> None:
    (folder / "syntax.py").write_text("\ndef f(:\n")
    (folder / "odd.pt2").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError, match=words):
        own_module(name.replace("FOLDER", str(folder)), trusts=True)


def test_a_program_is_not_loaded_without_trust(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.export, "load", None)
    with pytest.raises(InputError, match=r"a .pt2 program is code, which is run when it is loaded; .* add --trust"):
        own_module(f"{folder}/own.pt2", trusts=False)
    with pytest.raises(InputError, match="add --precision fp32"):
        own_module(f"{folder}/own.pt2", trusts=True, precision="fp16")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("weights.pt", "weights alone do not say which network they are of"),
        ("legacy.pth", "weights alone do not say which network they are of"),
        ("trainer.pth", "weights alone do not say which network they are of"),
        ("weights.safetensors", "weights alone do not say which network they are of"),
        ("script.pt", "a TorchScript archive is code without a module"),
        ("imagenet.pth.tar", "weights alone do not say which network they are of"),
        ("averaged.pth", "weights alone do not say which network they are of"),
        ("whole.pt", "what it holds beside tensors is code, which loading runs, so only if you trust who made it"),
        ("whole-legacy.pth", "what it holds beside tensors is code, which loading runs"),
    ],
)
def test_every_other_form_is_shown_lines_that_work(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    code, said = _export(folder / name, "-o", tmp_path / "plan", "--sigma", "0.25", "--data", "digits:test[:20]")
    assert (code, len(said.splitlines())) == (2, 1), said
    assert words in said
    assert "export python:own.py:net; or call purecert.export_module(net, ...)" in said
    (lines,) = re.findall(r"with `(.*)`, and", said)
    monkeypatch.syspath_prepend(str(folder))
    made = runpy.run_path(str(folder / "own.py"))
    names: dict[str, Any] = {"torch": torch, "Net": made["Net"]}
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated
        exec(lines, names)  # noqa: S102  # runs the line that the message tells the user to write
    for key, value in made["net"].state_dict().items():
        assert torch.equal(names["net"].state_dict()[key], value), key


def test_a_python_file_is_shown_how_to_be_named_and_other_files_nothing(folder: Path, tmp_path: Path) -> None:
    code, said = _export(folder / "own.py", "-o", tmp_path / "plan", "--sigma", "0.25", "--data", "digits:test[:20]")
    assert code == 2
    assert f"say python:{folder}/own.py:NAME" in said
    (tmp_path / "text.pt").write_text("hello")
    whole = (folder / "weights.pt").read_bytes()
    (tmp_path / "damaged.pt").write_bytes(whole[:300] + bytes(200) + whole[500:])
    (tmp_path / "cut.pt").write_bytes(whole[:-400])
    torch.save({"schema": "purecert.model/99", "classifier": {}}, tmp_path / "newer.pt")
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    for name in ("absent", "absent.safetensors", "text.pt", "damaged.pt", "cut.pt", "newer.pt", "list.pt"):
        assert way_out(tmp_path / name) == ""


def test_options_of_own_models_are_refused_for_others_and_bad_ones_named(folder: Path, tmp_path: Path) -> None:
    common = ("-o", tmp_path / "plan", "--sigma", "0.25", "--data", "digits:test[:20]")
    own = f"python:{folder}/own.py:net"
    for arguments, words in (
        (("demo", *common, "--mean", "0.5"), "expected --mean with a model of your own only; demo says it itself"),
        ((own, *common[:4]), "expected --data, at least 20 real images"),
        ((own, *common, "--std", "a"), "expected --std as numbers with commas between them, got 'a'"),
        ((own, *common, "--mean", "0.1,0.2"), "a number for each of 1 channels"),
        ((own, *common, "--input-range", "1", "1"), "low < high"),
        ((own, *common, "--size", "0"), "a size of at least 1"),
    ):
        code, said = _export(*arguments)
        assert code == 2, said
        assert words in said
        assert not (tmp_path / "plan").exists()
