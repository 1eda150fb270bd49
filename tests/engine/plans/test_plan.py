"""A plan is read only if every field of plan.json and every byte of the graph is what it says."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.plans.plan import GraphInput, Parity, Plan, PlanRecord, SigmaGraph, read_plan, write_plan
from support.half_plans import GRAPHS, RECORD, change_plan
from support.plans import linear_plan
from support.records import PLAN


def test_a_plan_reads_back_as_it_was_written(plan: Plan) -> None:
    again = read_plan(plan.directory)
    assert again == plan
    assert again.record == RECORD
    assert again.digest == sha256_hex((plan.directory / "plan.json").read_bytes())
    assert [again.read_graph(sigma) for sigma in (0.25, 0.5)] == list(GRAPHS.values())
    assert again.graph(0.5).t is None
    assert [graph_input.elements for graph_input in again.record.inputs] == [60, 120]


def test_a_real_graph_reads_back(tmp_path: Path) -> None:
    plan = linear_plan(tmp_path / "plan", np.ones(12, np.float32), 0.5, (3, 2, 2), sigma=0.5)
    assert sha256_hex(read_plan(tmp_path / "plan").read_graph(0.5)) == plan.graph(0.5).sha256


def test_choices_are_kept_and_plans_without_any_stay_as_they_were(plan: Plan) -> None:
    path = plan.directory / "plan.json"
    assert "choices" not in json.loads(path.read_text())
    chosen = ("time rule: exact (given)", "class label: 1/10 each")
    assert write_plan(plan.directory, replace(plan.record, choices=chosen)).record.choices == chosen
    assert read_plan(plan.directory).record.choices == chosen
    again = write_plan(plan.directory, replace(plan.record, choices=()))
    assert (again.record, again.digest) == (plan.record, plan.digest)


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
    directory = change_plan(plan, lambda value: value["graphs"][1].update(sigma=0.25))
    with pytest.raises(InputError, match=r"one per sigma, found sigmas \[0\.25, 0\.25\]; export the plan again"):
        read_plan(directory)


def test_a_plan_without_a_graph_is_refused(plan: Plan) -> None:
    with pytest.raises(InputError, match=r"expected at least one graph .* found sigmas \[\]"):
        read_plan(change_plan(plan, lambda value: value["graphs"].clear()))


# --- fields


def _records(value: dict[str, Any]) -> dict[str, dict[str, Any]]:
    inputs, graphs, parity = value["inputs"], value["graphs"], value["parity"]
    return {"": value, "inputs[0]": inputs[0], "graphs[1]": graphs[1], "parity[0]": parity[0]}


_KINDS = {"": PlanRecord, "inputs[0]": GraphInput, "graphs[1]": SigmaGraph, "parity[0]": Parity}
_OPTIONAL = ("schema", "choices")  # the first has a message of its own, the second may be absent
_FIELDS = [
    (where, field.name) for where, kind in _KINDS.items() for field in fields(kind) if field.name not in _OPTIONAL
]


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
        read_plan(change_plan(plan, change))
    assert where in str(refusal.value)
    (plan.directory / "plan.json").write_bytes(whole)


@pytest.mark.parametrize("where", list(_KINDS))
def test_an_unknown_field_is_named(plan: Plan, where: str) -> None:
    directory = change_plan(plan, lambda value: _records(value)[where].update(colour="red"))
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
        read_plan(change_plan(plan, lambda value: value.update(inputs=inputs)))


@pytest.mark.parametrize("classes", [-1, 0, 1, 1_000_001, 2**31, 10**30, pytest.param(10**400, id="huge")])
def test_a_number_of_classes_that_no_label_can_have_is_refused(plan: Plan, classes: int) -> None:
    with pytest.raises(InputError, match="expected 2 to 1000000 classes"):
        read_plan(change_plan(plan, lambda value: value.update(classes=classes, class_names=[])))


def test_class_names_are_as_many_as_classes_or_none(plan: Plan) -> None:
    assert read_plan(change_plan(plan, lambda value: value.update(class_names=[]))).record.class_names == ()
    with pytest.raises(InputError, match="expected 3 class names or none, found 2"):
        read_plan(change_plan(plan, lambda value: value.update(class_names=["a", "b"])))


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
