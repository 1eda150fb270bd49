"""A plan is read only if every field of plan.json and every byte of the graph is what it says."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.plans.plan import GraphInput, Parity, Plan, PlanRecord, SigmaGraph, read_plan, write_plan
from support.plans import linear_plan
from support.records import PLAN


def _graph(name: str) -> bytes:
    """Return a graph of the record's inputs; graphs of other names have other bytes."""
    nodes = [
        helper.make_node("ReduceMean", ["pixels", "places"], ["logits"], keepdims=0),
        helper.make_node("ArgMax", ["logits"], ["top"], axis=1, keepdims=0),
        helper.make_node("Cast", ["top"], ["label"], to=TensorProto.INT32),
    ]
    inputs = [
        helper.make_tensor_value_info(one.name, TensorProto.FLOAT16, ["batch", *one.shape]) for one in PLAN.inputs
    ]
    label = helper.make_tensor_value_info("label", TensorProto.INT32, ["batch"])
    places = numpy_helper.from_array(np.array([2, 3]), "places")
    graph = helper.make_graph(nodes, name, inputs, [label], [places])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(model.SerializeToString())


_GRAPHS = {f"sigma-{sigma}.onnx": _graph(f"graph of {sigma}") for sigma in (0.25, 0.5)}
_RECORD = replace(PLAN, graphs=tuple(replace(graph, sha256=sha256_hex(_GRAPHS[graph.file])) for graph in PLAN.graphs))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("plan")
    for name, content in _GRAPHS.items():
        (directory / name).write_bytes(content)
    return write_plan(directory, _RECORD).directory


@pytest.fixture
def plan(written: Path, tmp_path: Path) -> Plan:
    """Return a copy to change."""
    shutil.copytree(written, tmp_path / "plan")
    return read_plan(tmp_path / "plan")


def _change(plan: Plan, change: Callable[[dict[str, Any]], object]) -> Path:
    """Apply ``change`` to the parsed plan.json and write it back."""
    value = json.loads((plan.directory / "plan.json").read_text())
    change(value)
    (plan.directory / "plan.json").write_text(json.dumps(value))
    return plan.directory


def test_a_plan_reads_back_as_it_was_written(plan: Plan) -> None:
    again = read_plan(plan.directory)
    assert again == plan
    assert again.record == _RECORD
    assert again.digest == sha256_hex((plan.directory / "plan.json").read_bytes())
    assert [again.read_graph(sigma) for sigma in (0.25, 0.5)] == list(_GRAPHS.values())
    assert again.graph(0.5).t is None
    assert [graph_input.elements for graph_input in again.record.inputs] == [60, 120]


def test_a_real_graph_reads_back(tmp_path: Path) -> None:
    plan = linear_plan(tmp_path / "plan", np.ones(12, np.float32), 0.5, (3, 2, 2), sigma=0.5)
    assert sha256_hex(read_plan(tmp_path / "plan").read_graph(0.5)) == plan.graph(0.5).sha256


def test_any_change_of_plan_json_is_another_digest(plan: Plan) -> None:
    path = plan.directory / "plan.json"
    path.write_text(path.read_text() + "\n")
    assert read_plan(plan.directory).record == plan.record
    assert read_plan(plan.directory).digest != plan.digest


def test_the_cached_program_lies_beside_the_graph_under_its_name(plan: Plan) -> None:
    assert plan.cached_program(0.25) == plan.directory / "cache" / "sigma-0.25.pt2"


# --- sigma


@pytest.mark.parametrize("sigma", [0.3, 0.25000000000000006, 0.0, -0.25, float("nan"), float("inf")])
def test_a_sigma_that_the_plan_was_not_made_for_is_refused_with_what_is_held(plan: Plan, sigma: float) -> None:
    for use in (plan.graph, plan.read_graph, plan.cached_program):
        with pytest.raises(InputError, match=r"fused for sigma 0\.25, 0\.5, asked for .*engine-export --sigma"):
            use(sigma)


@pytest.mark.parametrize("sigma", ["NaN", "Infinity", "1e999", "-0.25", "0", "-0.0", '"0.25"', "null", "true"])
def test_a_graph_of_an_impossible_sigma_is_refused(plan: Plan, sigma: str) -> None:
    path = plan.directory / "plan.json"
    path.write_text(path.read_text().replace('"sigma": 0.25,', f'"sigma": {sigma},', 1))
    with pytest.raises(InputError, match=r"expected (sigma > 0|a finite number), found"):
        read_plan(plan.directory)


def test_two_graphs_of_one_sigma_are_refused(plan: Plan) -> None:
    directory = _change(plan, lambda value: value["graphs"][1].update(sigma=0.25))
    with pytest.raises(InputError, match=r"one per sigma, found sigmas \[0\.25, 0\.25\]; export the plan again"):
        read_plan(directory)


def test_a_plan_without_a_graph_is_refused(plan: Plan) -> None:
    with pytest.raises(InputError, match=r"expected at least one graph .* found sigmas \[\]"):
        read_plan(_change(plan, lambda value: value["graphs"].clear()))


# --- names that lead elsewhere


_NAMES = ["../x.onnx", "/etc/x.onnx", "a/x.onnx", "./x.onnx", "x.onnx/", "x.onnx/.", "..", ".", "", "x", "X.ONNX"]


@pytest.mark.parametrize("name", _NAMES)
def test_a_graph_file_outside_the_plan_is_refused(plan: Plan, name: str) -> None:
    directory = _change(plan, lambda value: value["graphs"][0].update(file=name))
    with pytest.raises(InputError, match=r"expected graph files named NAME.onnx beside plan.json, found"):
        read_plan(directory)


@pytest.mark.parametrize("name", ["x\x00.onnx", "\ud800.onnx", "line\nfeed.onnx", "~.onnx", "*.onnx"])
def test_a_strange_name_is_a_missing_file_and_nothing_worse(plan: Plan, name: str) -> None:
    directory = _change(plan, lambda value: value["graphs"][0].update(file=name))
    with pytest.raises(InputError, match=r"expected (a regular file, found none|printable text on one line)"):
        read_plan(directory).read_graph(0.25)


@pytest.mark.parametrize("name", ["sigma-0.25.onnx", "plan.json"])
def test_a_symbolic_link_in_place_of_a_file_is_refused(plan: Plan, name: str) -> None:
    path = plan.directory / name
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    with pytest.raises(InputError, match=f"{name}: expected a regular file, found none"):
        read_plan(plan.directory).read_graph(0.25)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: None], ids=["directory", "pipe", "nothing"])
@pytest.mark.parametrize("name", ["sigma-0.25.onnx", "plan.json"])
def test_what_is_no_file_is_refused(plan: Plan, name: str, make: Callable[[Path], object]) -> None:
    (plan.directory / name).unlink()
    make(plan.directory / name)
    with pytest.raises(InputError, match=f"{name}: expected a regular file, found none; copy or export"):
        read_plan(plan.directory).read_graph(0.25)


# --- other bytes


@pytest.mark.parametrize(
    "change",
    [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b"", lambda b: b"H" + b[1:], lambda b: _GRAPHS["sigma-0.5.onnx"]],
    ids=["shorter", "longer", "empty", "changed", "swapped"],
)
def test_other_bytes_than_plan_json_names_are_refused(plan: Plan, change: Callable[[bytes], bytes]) -> None:
    path = plan.directory / "sigma-0.25.onnx"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=r"sigma-0.25.onnx: expected SHA-256 .* found .*changed or cut short"):
        read_plan(plan.directory).read_graph(0.25)
    assert plan.read_graph(0.5) == _GRAPHS["sigma-0.5.onnx"]


# --- fields


def _records(value: dict[str, Any]) -> dict[str, dict[str, Any]]:
    inputs, graphs, parity = value["inputs"], value["graphs"], value["parity"]
    return {"": value, "inputs[0]": inputs[0], "graphs[1]": graphs[1], "parity[0]": parity[0]}


_KINDS = {"": PlanRecord, "inputs[0]": GraphInput, "graphs[1]": SigmaGraph, "parity[0]": Parity}
_FIELDS = [(where, field.name) for where, kind in _KINDS.items() for field in fields(kind) if field.name != "schema"]


def test_a_missing_field_is_named(plan: Plan) -> None:
    for where, name in _FIELDS:
        change = partial(_remove, where, name)
        _assert_named(plan, change, where, rf"missing fields \['{name}'\]")


def test_a_mistyped_field_is_named(plan: Plan) -> None:
    for where, name in _FIELDS:
        change = partial(_mistype, where, name)
        _assert_named(plan, change, where, rf"{name}(\.of)?: expected")


def _remove(where: str, name: str, value: dict[str, Any]) -> None:
    del _records(value)[where][name]


def _mistype(where: str, name: str, value: dict[str, Any]) -> None:
    _records(value)[where][name] = {"of": ["no", "field"]}


def _assert_named(plan: Plan, change: Callable[[dict[str, Any]], None], where: str, words: str) -> None:
    """Assert that a changed plan.json is refused with these words and the place of the change, and mend it."""
    whole = (plan.directory / "plan.json").read_bytes()
    with pytest.raises(InputError, match=words) as refusal:
        read_plan(_change(plan, change))
    assert where in str(refusal.value)
    (plan.directory / "plan.json").write_bytes(whole)


@pytest.mark.parametrize("where", list(_KINDS))
def test_an_unknown_field_is_named(plan: Plan, where: str) -> None:
    directory = _change(plan, lambda value: _records(value)[where].update(colour="red"))
    with pytest.raises(InputError, match=r"unknown fields \['colour'\]") as refusal:
        read_plan(directory)
    assert where in str(refusal.value)


_INPUT = asdict(PLAN.inputs[0])
_NOISE = asdict(PLAN.inputs[1])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], r"expected inputs \['pixels'\], found \[\]"),
        ([_NOISE], r"expected inputs \['pixels'\], found \['noise_1'\]"),
        ([_NOISE, _INPUT], "expected inputs"),
        ([_INPUT, _INPUT], r"expected inputs \['pixels', 'noise_1'\], found \['pixels', 'pixels'\]"),
        ([_INPUT, _NOISE | {"name": "noise_2"}], "expected inputs"),
        ([_INPUT, _NOISE, _NOISE], "expected inputs"),
        ([_INPUT | {"shape": [3, 4]}], r"pixels of 3 dimensions"),
        ([_INPUT | {"shape": []}], r"pixels of 3 dimensions"),
        ([_INPUT, _NOISE | {"shape": [3, 4, 5]}], r"noises of 4"),
        ([_INPUT | {"shape": [3, 0, 5]}], "sizes of at least 1"),
        ([_INPUT | {"shape": [3, -4, -5]}], "sizes of at least 1"),
        ([_INPUT | {"shape": [3, 10**9, 10**9]}], "at most 2147483647 values per row"),
        ([_INPUT | {"shape": [3, 4, 5.0]}], r"shape\[2\]: expected a value of type int"),
        ([_INPUT | {"dtype": "float64"}], "dtype: expected one of"),
    ],
)
def test_inputs_that_no_graph_of_ours_has_are_refused(plan: Plan, inputs: list[object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_plan(_change(plan, lambda value: value.update(inputs=inputs)))


@pytest.mark.parametrize("classes", [-1, 0, 1, 1_000_001, 2**31, 10**30, pytest.param(10**400, id="huge")])
def test_a_number_of_classes_that_no_label_can_have_is_refused(plan: Plan, classes: int) -> None:
    with pytest.raises(InputError, match="expected 2 to 1000000 classes"):
        read_plan(_change(plan, lambda value: value.update(classes=classes, class_names=[])))


def test_class_names_are_as_many_as_classes_or_none(plan: Plan) -> None:
    assert read_plan(_change(plan, lambda value: value.update(class_names=[]))).record.class_names == ()
    with pytest.raises(InputError, match="expected 3 class names or none, found 2"):
        read_plan(_change(plan, lambda value: value.update(class_names=["a", "b"])))


# --- garbage


_GARBAGE = [b"", b"plan", b"\xff", b"null", b"[]", b"{}", b'{"schema": "purecert.plan/0"}', b'{"schema": null}']
_GARBAGE += [b"[" * 10**6, b'{"schema": "' + b"x" * 10**6 + b'"}']


@pytest.mark.parametrize("content", _GARBAGE, ids=range(len(_GARBAGE)))
def test_a_plan_json_that_is_none_is_refused_in_a_short_line(plan: Plan, content: bytes) -> None:
    (plan.directory / "plan.json").write_bytes(content)
    with pytest.raises(InputError, match=r"plan.json: expected (JSON|schema purecert.plan/3), found") as refusal:
        read_plan(plan.directory)
    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize("name", ["schema", "classes", "precision", "graphs", "licence"])
def test_nesting_of_any_depth_is_refused_and_never_a_traceback(plan: Plan, name: str) -> None:
    text = json.dumps(asdict(PLAN) | {name: "HERE"})
    for depth in range(sys.getrecursionlimit() - 120, sys.getrecursionlimit() + 5):
        (plan.directory / "plan.json").write_text(text.replace('"HERE"', "[" * depth + "]" * depth))
        with pytest.raises(InputError, match="expected"):
            read_plan(plan.directory)


def test_what_is_no_directory_is_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a plan directory, found nothing there; make one with"):
        read_plan(tmp_path / "absent")
    with pytest.raises(InputError, match="expected a plan directory, found a file"):
        read_plan(plan.directory / "plan.json")


# --- writing


@pytest.mark.parametrize(
    "record",
    [
        replace(PLAN, graphs=()),
        replace(PLAN, classes=1),
        replace(PLAN, inputs=()),
        replace(PLAN, graphs=(replace(PLAN.graphs[0], file="../x.onnx"),)),
        replace(PLAN, graphs=(replace(PLAN.graphs[0], sigma=float("nan")),)),
    ],
)
def test_a_plan_that_could_not_be_read_is_never_written(tmp_path: Path, record: PlanRecord) -> None:
    with pytest.raises(InputError, match="export the plan again"):
        write_plan(tmp_path, record)
    assert list(tmp_path.iterdir()) == []


def test_a_measurement_that_is_no_number_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_plan(tmp_path, replace(PLAN, parity=(replace(PLAN.parity[0], agreement=float("nan")),)))
    assert list(tmp_path.iterdir()) == []
