"""Graphs that no plan may hold are refused at once, before any runtime and without opening another file."""

import os
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.plans import allowed_operators
from purecert.engine.plans.graph_check import check_graph, shapes_in
from purecert.engine.plans.plan import Plan, ends_of, read_plan
from purecert.engine.plans.protocol_buffers import field
from purecert.engine.plans.shapes.extents import BATCH, Extent, number
from purecert.engine.plans.shapes.rules import rule_of
from support.hostile_files import FILES
from support.hostile_graphs import ENDS, MODELS, model
from support.plans import linear_plan

_GIB = 2**30
_HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    **{name: ((lambda make=make: make().SerializeToString()), words) for name, (make, words) in MODELS.items()},
    **FILES,
}

_opened: list[str] = []


def _note_opened(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("open", "socket.connect", "subprocess.Popen"):
        _opened.append(f"{event} {arguments[0]}")


@pytest.fixture(scope="module")
def audit() -> list[str]:
    """Return the list to which this process adds whatever it opens."""
    sys.addaudithook(_note_opened)
    return _opened


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Return a plan of two classes whose graph is replaced."""
    return linear_plan(tmp_path_factory.mktemp("hostile") / "plan", np.ones(4, np.float32), 0.5, (1, 2, 2))


@contextmanager
def _at_most_one_gib_more() -> Iterator[None]:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + _GIB, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _put(plan: Plan, content: bytes) -> Plan:
    graph = plan.record.graphs[0]
    (plan.directory / graph.file).write_bytes(content)
    changed = replace(graph, sha256=sha256_hex(content))
    return replace(plan, record=replace(plan.record, graphs=(changed,)))


@pytest.mark.parametrize("name", list(_HOSTILE))
def test_a_hostile_graph_is_refused(name: str, plan: Plan, audit: list[str]) -> None:
    make, words = _HOSTILE[name]
    hostile = _put(plan, make())
    with _at_most_one_gib_more():
        audit.clear()
        began = time.process_time()
        with pytest.raises(InputError) as refusal:
            hostile.read_graph(0.5)
    assert time.process_time() - began < 2
    assert re.search(words, str(refusal.value))
    assert "\n" not in str(refusal.value)
    assert "; " in str(refusal.value)
    path = plan.directory / plan.record.graphs[0].file
    assert audit == [f"open {path}"]


def test_a_file_of_ten_gigabytes_is_not_read(plan: Plan) -> None:
    path = plan.directory / plan.record.graphs[0].file
    path.unlink()
    with path.open("wb") as file:
        file.truncate(10 * _GIB)
    with _at_most_one_gib_more(), pytest.raises(InputError, match="at most 2147483647 bytes, found 10737418240"):
        plan.read_graph(0.5)
    path.unlink()


def test_the_harmless_model_passes() -> None:
    check_graph(model().SerializeToString(), ENDS)


def test_a_flood_of_empty_fields_is_not_read_to_its_end() -> None:
    began = time.process_time()
    with pytest.raises(InputError, match=r"more than \d+ fields beside the weights"):
        check_graph(field(8, b"") * 2_000_001, ENDS)
    assert time.process_time() - began < 2


def test_logits_are_a_value_of_the_plans_classes() -> None:
    content = model().SerializeToString()
    for logits in ("pixels", "matrix", "flat", "label", "nothing"):
        with pytest.raises(InputError, match=f"the logits '{logits}'"):
            check_graph(content, replace(ENDS, logits=logits))


def test_an_exported_plans_values_have_the_shapes_that_pytorch_saw(demo_plan: Path, demo_plan_fp16: Path) -> None:
    """The export writes the shape of every value; the check finds the same from the operators alone."""
    for directory in (demo_plan, demo_plan_fp16):
        content = read_plan(directory).read_graph(0.5)
        found = shapes_in(content, ends_of(read_plan(directory).record))
        declared = {
            value.name: value.type.tensor_type.shape.dim for value in onnx.load_from_string(content).graph.value_info
        }
        assert len(declared) > 20
        for name, dims in declared.items():
            # PyTorch leaves open what it could not tell.
            sizes = [dim.dim_value or dim.dim_param for dim in dims]
            known = [_written(extent) if size else "" for extent, size in zip(found[name], sizes, strict=True)]
            assert known == sizes, name


@pytest.mark.parametrize("name", sorted(allowed_operators.OPERATORS))
def test_every_allowed_operator_is_onnxs_own_and_has_a_rule(name: str) -> None:
    assert name not in allowed_operators.FORBIDDEN
    assert callable(rule_of(name))
    schema = onnx.defs.get_schema(name, allowed_operators.OPSETS[-1])
    kinds = {kind.name for kind in schema.attributes.values() if kind.type == onnx.defs.OpSchema.AttrType.GRAPH}
    assert not kinds


def _written(extent: Extent) -> int | str:
    return "batch" if extent == BATCH else number(extent)


def test_numbers_may_be_stored_by_their_type() -> None:
    """A tensor that is made by hand holds its numbers in a typed field, not as raw bytes."""
    kinds = {TensorProto.FLOAT: 1.5, TensorProto.INT64: -7, TensorProto.INT32: -7, TensorProto.BOOL: 1}
    kinds |= {TensorProto.FLOAT16: 1.5, TensorProto.DOUBLE: 1.5, TensorProto.UINT64: 7, TensorProto.UINT8: 200}
    for kind, value in kinds.items():
        found = model()
        found.graph.initializer.append(helper.make_tensor("x", kind, [3], [value] * 3))
        check_graph(found.SerializeToString(), ENDS)
