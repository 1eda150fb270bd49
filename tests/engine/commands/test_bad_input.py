"""Bad input ends in one line that says what was expected, what came and what to do, and changes nothing."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from purecert.engine.commands.certify import certify_command
from purecert.engine.files.canonical import sha256_hex
from support.commands import Ended, engine, engine_arguments


def _arguments(plan: Path, out: Path, *changes: str) -> list[str | Path]:
    options = {"--data": "digits:test[:2]", "--sigma": "0.5", "--n": "100", "--threads": "1"}
    options |= {"--batch": "64", "--probe-rows": "64"}
    options |= dict(zip(changes[::2], changes[1::2], strict=True))
    return ["--plan", plan, "--out", out, *(part for pair in options.items() for part in pair)]


def _certify(plan: Path, out: Path, *changes: str) -> Ended:
    return engine("certify", *_arguments(plan, out, *changes))


def _refused(ended: Ended, words: str, code: int = 2) -> None:
    ended.expect(code)
    assert words in ended.err
    assert ended.err.count("\n") == 1, ended.err
    assert ended.out == ""


_BAD_OPTIONS = [
    ("--sigma", "0", "sigma > 0"),
    ("--sigma", "-1", "sigma > 0"),
    ("--sigma", "nan", "sigma > 0"),
    ("--sigma", "much", "not a valid float"),
    ("--sigma", "0.3", "fused for sigma 0.5"),
    ("--n", "0", "n in [1,"),
    ("--n", "5", "to certify anything"),
    ("--n", "1099511627776", "n in [1,"),
    ("--n", "2.5", "not a valid integer"),
    ("--n0", "0", "n0 in [1,"),
    ("--alpha", "0", "alpha in [1e-90, 0.5)"),
    ("--alpha", "1", "alpha in [1e-90, 0.5)"),
    ("--alpha", "0.5", "alpha in [1e-90, 0.5)"),
    ("--seed", "-1", "seed in [0, 2^64)"),
    ("--seed", "18446744073709551616", "seed in [0, 2^64)"),
    ("--batch", "0", "batch of at least 1"),
    ("--backend", "tpu", "backend out of onnxruntime, openvino, torch"),
    ("--data", "digits:test[5:5]", "image"),
    ("--data", "digits:test[::0]", "digits:test[::0]"),
    ("--data", "imagenet:test", "imagenet"),
    ("--data", "cifar10:test", "--data-dir"),
]


def test_every_bad_option_is_refused(demo_plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option, value, words in _BAD_OPTIONS:
        _refused(_certify_here(capsys, demo_plan, tmp_path / "run", option, value), words)
        assert not (tmp_path / "run").exists(), f"{option} {value}"


def _certify_here(capsys: pytest.CaptureFixture[str], plan: Path, out: Path, *changes: str) -> Ended:
    """Run engine-certify in this process: one of its own would take seconds to start."""
    with pytest.raises(SystemExit) as end:
        certify_command.main([os.fspath(part) for part in _arguments(plan, out, *changes)], prog_name="engine-certify")
    said = capsys.readouterr()
    assert isinstance(end.value.code, int)
    return Ended(code=end.value.code, out=said.out, err=said.err)


def test_a_missing_option_is_named() -> None:
    _refused(engine("certify", "--sigma", "0.5"), "--plan")


def test_a_plan_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("plan")
    (tmp_path / "empty").mkdir()
    _refused(_certify(tmp_path / "absent", tmp_path / "run"), "nothing there")
    _refused(_certify(tmp_path / "file", tmp_path / "run"), "a file")
    _refused(_certify(tmp_path / "empty", tmp_path / "run"), "plan.json")


def test_a_changed_graph_is_refused(demo_plan: Path, tmp_path: Path) -> None:
    shutil.copytree(demo_plan, tmp_path / "plan")
    graph = next((tmp_path / "plan").glob("*.onnx"))
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    _refused(_certify(tmp_path / "plan", tmp_path / "run"), "SHA-256")


def test_a_graph_that_no_plan_may_hold_is_bad_input(demo_plan: Path, tmp_path: Path) -> None:
    _replace_graph(demo_plan, tmp_path / "plan", lambda content: content.replace(b"IsNaN", b"If000"))
    _refused(_certify(tmp_path / "plan", tmp_path / "run"), "(If000), which is not on the list")


def test_a_graph_that_the_runtime_cannot_load_is_a_backend_failure(demo_plan: Path, tmp_path: Path) -> None:
    # Allowed, of the right shapes, and of another type than what takes it.
    _replace_graph(demo_plan, tmp_path / "plan", _with_numbers_for_a_condition)
    _refused(_certify(tmp_path / "plan", tmp_path / "run"), "cannot load the graph", code=3)


def _with_numbers_for_a_condition(content: bytes) -> bytes:
    model = onnx.load_model_from_string(content)
    changed = [node for node in model.graph.node if node.op_type == "IsNaN"]
    assert changed
    for node in changed:
        node.op_type = "Abs"
    return bytes(model.SerializeToString())


def _replace_graph(plan: Path, copy: Path, change: Callable[[bytes], bytes]) -> None:
    """Copy a plan with a changed graph, whose digest is made right."""
    shutil.copytree(plan, copy)
    graph, record = next(copy.glob("*.onnx")), copy / "plan.json"
    was = graph.read_bytes()
    graph.write_bytes(change(was))
    record.write_text(record.read_text().replace(sha256_hex(was), sha256_hex(change(was))))


def test_images_of_another_shape_are_refused(demo_plan: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 3, 32, 32), np.uint8), y=np.zeros(2, np.int64))
    _refused(_certify(demo_plan, tmp_path / "run", "--data", f"npz:{tmp_path / 'x.npz'}"), "(1, 8, 8)")


def test_labels_beyond_the_plans_classes_are_refused(demo_plan: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1, 8, 8), np.uint8), y=np.array([3, 10]))
    _refused(_certify(demo_plan, tmp_path / "run", "--data", f"npz:{tmp_path / 'x.npz'}"), "labels below 10")


def test_a_finished_run_is_not_overwritten_unless_told(demo_plan: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    _certify(demo_plan, run).expect(0)
    before = (run / "certificates.jsonl").read_bytes()
    _refused(_certify(demo_plan, run), "--resume")
    assert (run / "certificates.jsonl").read_bytes() == before
    (run / "thesis.tex").write_text("mine")
    _refused(_certify_forced(demo_plan, run), "thesis.tex")
    assert (run / "certificates.jsonl").read_bytes() == before
    (run / "thesis.tex").unlink()
    _certify_forced(demo_plan, run).expect(0)
    assert (run / "certificates.jsonl").read_bytes() != before


def _certify_forced(plan: Path, out: Path) -> Ended:
    data = ["--data", "digits:test[:2]", "--sigma", "0.5", "--n", "100", "--threads", "1"]
    data += ["--batch", "64", "--probe-rows", "64"]
    return engine("certify", "--plan", plan, "--out", out, *data, "--force")


def test_an_output_that_is_a_file_is_refused(demo_plan: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("keep me")
    _refused(_certify(demo_plan, tmp_path / "run"), "found a file")
    assert (tmp_path / "run").read_text() == "keep me"


@pytest.fixture(scope="module")
def finished(demo_plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    _certify(demo_plan, run).expect(0)
    return run


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--n", "101", "n_estimate = 100"),
        ("--alpha", "0.01", "alpha = 0.001"),
        ("--batch", "32", "backend"),
        ("--data", "digits:test[1:3]", "data"),
        ("--seed", "5", "leave out --seed"),
    ],
)
def test_a_run_is_not_resumed_as_another(
    demo_plan: Path, finished: Path, tmp_path: Path, option: str, value: str, words: str
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    before = (run / "certificates.jsonl").read_bytes()
    options = {"--data": "digits:test[:2]", "--sigma": "0.5", "--n": "100", "--threads": "1"}
    options |= {"--batch": "64", "--probe-rows": "64"}
    parts = [part for pair in (options | {option: value}).items() for part in pair]
    _refused(engine("certify", "--plan", demo_plan, "--out", run, *parts, "--resume"), words)
    assert (run / "certificates.jsonl").read_bytes() == before


@pytest.mark.parametrize(("backend", "package"), [("onnxruntime", "onnxruntime"), ("torch", "torch")])
def test_a_missing_runtime_is_named_with_the_fix(demo_plan: Path, tmp_path: Path, backend: str, package: str) -> None:
    data = ["--data", "digits:test[:2]", "--sigma", "0.5", "--n", "100", "--backend", backend]
    command = engine_arguments("certify", "--plan", demo_plan, "--out", tmp_path / "run", *data)
    command[2] = f"import sys; sys.modules['{package}'] = None; {command[2]}"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    _refused(Ended(code=done.returncode, out=done.stdout, err=done.stderr), "pip install", code=3)
    assert not (tmp_path / "run").exists()


def test_a_report_of_no_run_is_refused(tmp_path: Path) -> None:
    _refused(engine("report", tmp_path), "run.json")
    _refused(engine("report"), "RUN")
