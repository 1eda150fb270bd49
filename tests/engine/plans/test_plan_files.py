"""A plan's files are read only if they lie in it, are files, and have the bytes that plan.json names."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from purecert.engine.errors import InputError
from purecert.engine.plans.plan import Plan, read_plan
from support.half_plans import GRAPHS, change_plan

# --- names that lead elsewhere


_NAMES = ["../x.onnx", "/etc/x.onnx", "a/x.onnx", "./x.onnx", "x.onnx/", "x.onnx/.", "..", ".", "", "x", "X.ONNX"]


@pytest.mark.parametrize("name", _NAMES)
def test_a_graph_file_outside_the_plan_is_refused(plan: Plan, name: str) -> None:
    directory = change_plan(plan, lambda value: value["graphs"][0].update(file=name))
    with pytest.raises(InputError, match=r"expected graph files named NAME.onnx beside plan.json, found"):
        read_plan(directory)


@pytest.mark.parametrize("name", ["x\x00.onnx", "\ud800.onnx", "line\nfeed.onnx", "~.onnx", "*.onnx"])
def test_a_strange_name_is_a_missing_file_and_nothing_worse(plan: Plan, name: str) -> None:
    directory = change_plan(plan, lambda value: value["graphs"][0].update(file=name))
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
    [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b"", lambda b: b"H" + b[1:], lambda b: GRAPHS["sigma-0.5.onnx"]],
    ids=["shorter", "longer", "empty", "changed", "swapped"],
)
def test_other_bytes_than_plan_json_names_are_refused(plan: Plan, change: Callable[[bytes], bytes]) -> None:
    path = plan.directory / "sigma-0.25.onnx"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=r"sigma-0.25.onnx: expected SHA-256 .* found .*changed or cut short"):
        read_plan(plan.directory).read_graph(0.25)
    assert plan.read_graph(0.5) == GRAPHS["sigma-0.5.onnx"]
