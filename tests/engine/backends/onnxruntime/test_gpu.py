"""ONNX Runtime bound to a device's memory, the host's in the place of a GPU's: the same session and binding.

What only a GPU has (the CUDA provider's own options, its graphs and its stream) is not tried here.
"""

import io
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.backends.base import Backend, BackendOptions, Segment
from purecert.engine.backends.device.opening import open_device
from purecert.engine.backends.onnxruntime.gpu import OrtDeviceProgram, cuda_provider
from purecert.engine.backends.onnxruntime.session import CPU, Provider, open_session
from purecert.engine.backends.onnxruntime.tensorrt import pack_engines, unpack_engines
from purecert.engine.backends.opening import checked_backend, open_backend
from purecert.engine.backends.torch.queue import HostQueue
from purecert.engine.errors import BackendError, InputError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.noise.inputs import noise_of_inputs
from purecert.engine.plans.plan import Plan, read_plan

_SEED, _SIGMA, _BATCH = 3, 0.5, 32
_DIGITS = load_dataset("digits:test[:8]")
_SEGMENTS = [Segment(slot, 1, 7 * slot, 15) for slot in range(8)]


@pytest.fixture(scope="module")
def plan(demo_plan_fp16: Path) -> Plan:
    return read_plan(demo_plan_fp16)


def _device_backend(plan: Plan) -> Backend:
    queue, host = HostQueue(1), Provider(name=CPU)

    def load() -> OrtDeviceProgram:
        return OrtDeviceProgram(plan, _SIGMA, _BATCH, queue, "cpu", host, host, threads=1)

    opened = open_device(plan, noise_of_inputs(len(plan.record.inputs), _SIGMA, _SEED, 1), queue, load)
    options = BackendOptions(name="onnxruntime-cuda", batch=_BATCH, threads=1, probe_rows=_BATCH)
    return checked_backend(opened, plan, _SIGMA, _SEED, options, _DIGITS.images, _DIGITS.indices)


def test_votes_are_those_of_the_host_backend(plan: Plan) -> None:
    options = BackendOptions(name="onnxruntime", batch=_BATCH, threads=1, probe_rows=_BATCH)
    host = open_backend(plan, _SIGMA, _SEED, options, _DIGITS.images, _DIGITS.indices)
    counts = []
    with closing(host), closing(_device_backend(plan)) as device:
        for backend in (host, device):
            for slot in range(8):
                backend.place(slot, int(_DIGITS.indices[slot]), _DIGITS.images[slot])
            counts.append(backend.submit(_SEGMENTS).result())
        assert device.info.probed == host.info.probed == "logits"
        assert device.info.nodes == host.info.nodes
        assert list(device.info.nodes) == [CPU]
    assert np.array_equal(*counts)
    assert counts[0].sum() == sum(segment.count for segment in _SEGMENTS)


def test_the_arithmetic_of_shapes_is_done_before_the_first_batch(plan: Plan) -> None:
    """It would run on the processor, and a CUDA graph may hold no such node."""
    model = plan.read_graph(_SIGMA)
    session = open_session(model, Provider(name=CPU), threads=1, batch=_BATCH)
    kinds = {node.op_type for part in session.get_provider_graph_assignment_info() for node in part.get_nodes()}
    assert b"Shape" in model  # the graph as exported leaves the batch open
    assert not kinds & {"Shape", "Size", "ConstantOfShape", "Range"}
    assert [graph_input.shape for graph_input in session.get_inputs()] == [[_BATCH, 1, 8, 8]]


@pytest.mark.parametrize("captures", [True, False])
def test_a_runtime_without_the_provider_is_not_replaced_by_the_processor(plan: Plan, captures: bool) -> None:
    provider = cuda_provider(1234, captures=captures)
    with pytest.raises(
        BackendError, match=r"expected an ONNX Runtime with CUDAExecutionProvider, found|see engine-doc"
    ):
        open_session(plan.read_graph(_SIGMA), provider, threads=1, batch=_BATCH)


def test_engines_of_the_tensorrt_provider_are_kept_as_one_file(tmp_path: Path) -> None:
    made, found = tmp_path / "made", tmp_path / "found"
    for folder in (made, found):
        folder.mkdir()
    for name, content in {"graph_1_sm90.engine": b"native code", "graph_1_sm90.profile": b"shapes"}.items():
        (made / name).write_bytes(content)
    archive = pack_engines(made)
    assert archive == pack_engines(made)
    unpack_engines(archive, found)
    assert {path.name: path.read_bytes() for path in found.iterdir()} == {
        path.name: path.read_bytes() for path in made.iterdir()
    }


def test_a_provider_that_compiled_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "timing.cache").write_bytes(b"")
    with pytest.raises(BackendError, match=r"expected engines .* found \['timing.cache'\]"):
        pack_engines(tmp_path)


def test_an_archive_leads_nowhere_else(tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("../outside.engine", b"")
    (tmp_path / "inside").mkdir()
    with pytest.raises(InputError, match="expected plain names"):
        unpack_engines(archive.getvalue(), tmp_path / "inside")
    with pytest.raises(InputError, match="expected an archive"):
        unpack_engines(b"no archive", tmp_path / "inside")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inside"]
