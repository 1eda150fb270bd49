"""Weights outside the graph's own file are outside the plan's digests, so they are never read."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.plans.plan import Plan, read_plan
from support.plans import LABEL_CONSTANTS, label_nodes, write_test_plan

_IMAGES = np.zeros((2, 1, 2, 2), np.uint8)
_MATRIX = np.array([[0, 1], [0, -1], [0, 2], [0, 1]], np.float32)


def _plan(directory: Path, logits: str = "logits") -> Plan:
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["logits"]),
        *label_nodes(),
    ]
    return write_test_plan(directory, nodes, {"matrix": _MATRIX, **LABEL_CONSTANTS}, (1, 2, 2), logits=logits)


def _move_weights_out(plan: Plan, location: Path) -> Plan:
    """Put the matrix into a file at ``location`` and let the graph point to it, with every digest made right."""
    path = plan.directory / plan.record.graphs[0].file
    was, model = path.read_bytes(), onnx.load(path)
    matrix = next(tensor for tensor in model.graph.initializer if tensor.name == "matrix")
    location.write_bytes(_MATRIX.tobytes())
    matrix.ClearField("raw_data")
    matrix.data_location = TensorProto.EXTERNAL
    matrix.external_data.add(key="location", value=location.name)
    path.write_bytes(model.SerializeToString())
    record = plan.directory / "plan.json"
    record.write_text(record.read_text().replace(sha256_hex(was), sha256_hex(path.read_bytes())))
    return read_plan(plan.directory)


@pytest.mark.parametrize("beside", ["working directory", "plan"])
def test_a_graph_with_weights_in_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = _plan(tmp_path / "plan")
    folder = tmp_path if beside == "working directory" else plan.directory
    plan = _move_weights_out(plan, folder / "weights.bin")
    with pytest.raises(InputError, match="weights in another file"):
        open_backend(plan, 0.5, 1, BackendOptions(batch=4, probe_rows=4), _IMAGES, np.arange(2))


@pytest.mark.parametrize("name", ["flat", "matrix", "top64"])
def test_a_plan_that_names_another_tensor_as_its_logits_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="logits"):
        open_backend(
            _plan(tmp_path / "plan", name), 0.5, 1, BackendOptions(batch=4, probe_rows=4), _IMAGES, np.arange(2)
        )
