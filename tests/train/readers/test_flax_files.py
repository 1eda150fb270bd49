"""Flax checkpoints read without jax: arrays, scalars, tuples and chunks, and nothing that only claims to be there."""

import sys
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import torch

from purecert.engine.errors import BackendError, InputError
from purecert.train.readers.flax_files import read_flax, train_state
from support.golden import golden, shared

_DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint8", "bool"]


def _array(shape: Any, dtype: Any, data: Any, kind: int = 1) -> msgpack.ExtType:
    """Return an array as flax packs it."""
    return msgpack.ExtType(kind, msgpack.packb((shape, dtype, data), use_bin_type=True))


def _pack(array: np.ndarray[Any, Any], kind: int = 1) -> msgpack.ExtType:
    return _array(array.shape, array.dtype.name, array.tobytes("C"), kind)


def _write(content: object, path: Path) -> Path:
    path.write_bytes(msgpack.packb(content, use_bin_type=True))
    return path


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 4)])
def test_an_array_keeps_shape_dtype_and_values(tmp_path: Path, shape: tuple[int, ...]) -> None:
    for dtype in _DTYPES:
        array = np.asarray(np.random.default_rng(0).integers(0, 2, shape)).astype(dtype)
        read = read_flax(_write({"a": {"b": _pack(array)}}, tmp_path / dtype))["a"]["b"]
        assert read.dtype == getattr(torch, dtype)
        np.testing.assert_array_equal(read.numpy(), array, err_msg=dtype)
        assert read.shape == shape, dtype


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    values = np.array([1.0, -2.5, 0.15625], dtype="<f4")
    upper = (values.view("<u4") >> 16).astype("<u2").tobytes()
    read = read_flax(_write({"a": _array([3], "bfloat16", upper)}, tmp_path / "a"))["a"]
    assert read.dtype == torch.bfloat16
    np.testing.assert_array_equal(read.float().numpy(), values)


def test_scalars_and_plain_values_come_back_plain(tmp_path: Path) -> None:
    content = {"n": 3, "x": 0.5, "s": _pack(np.asarray(np.float32(0.25)), kind=3), "none": None, "text": "a", "": {}}
    assert read_flax(_write(content, tmp_path / "a")) == {**content, "s": 0.25}


def test_chunks_are_joined(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float32)
    chunks = {str(i): _pack(part) for i, part in enumerate(np.array_split(array, 5))}
    content = {"__msgpack_chunked_array__": True, "shape": {"0": 2, "1": 12}, "chunks": chunks}
    read = read_flax(_write({"a": content}, tmp_path / "a"))["a"]
    np.testing.assert_array_equal(read.numpy(), array.reshape(2, 12))


def _chunked(**changes: Any) -> dict[str, Any]:
    whole = {"__msgpack_chunked_array__": True, "shape": {"0": 4}, "chunks": {"0": _pack(np.zeros(4, np.float32))}}
    return {"a": whole | changes}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": _array([2**40], "float32", b"1234")}, "has 4 bytes"),
        ({"a": _array([1], "float33", b"1234")}, "unknown dtype float33"),
        ({"a": _array([1], "complex64", bytes(8))}, "unknown dtype complex64"),
        ({"a": _array([-1], "float32", b"1234")}, "shape is no list of whole numbers"),
        ({"a": _array([1.0], "float32", b"1234")}, "shape is no list of whole numbers"),
        ({"a": _array([1] * 65, "float32", b"1234")}, "max_array_len"),
        ({"a": _array("shape", "float32", b"1234")}, "shape is no list of whole numbers"),
        ({"a": _array([1], ["float32"], b"1234")}, "unknown dtype list"),
        ({"a": _array([1], "float32", "text")}, "shape, dtype and bytes"),
        ({"a": msgpack.ExtType(1, b"")}, "damaged or cut short"),
        ({"a": msgpack.ExtType(2, b"")}, "complex number"),
        ({"a": msgpack.ExtType(7, b"")}, "extension type 7"),
        ({"a": _pack(np.zeros(2, np.float32), kind=3)}, "damaged"),
        ({"a": b"bytes"}, "max_bin_len"),
        ({1: 2}, "int is not allowed for map key"),
        (_chunked(shape={"0": 5}), "do not fill its shape"),
        (_chunked(shape={"1": 4}), "mapping from 0, 1"),
        (_chunked(shape=[4]), "mapping from 0, 1"),
        (_chunked(chunks={}), "no chunks"),
        (_chunked(chunks={"0": 3}), "flat arrays of one dtype"),
        (_chunked(chunks={"0": _pack(np.zeros((2, 2), np.float32))}), "flat arrays of one dtype"),
        (_chunked(more=1), "not described as shape and chunks"),
    ],
)
def test_content_that_does_not_fit_is_refused(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_flax(_write(content, tmp_path / "a"))
    assert "\n" not in str(caught.value)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x82\xa1a\x01\xa1a\x02")
    with pytest.raises(InputError, match="a key twice"):
        read_flax(tmp_path / "a")


def test_bytes_after_the_end_are_refused(tmp_path: Path) -> None:
    path = _write({"a": 1}, tmp_path / "a")
    path.write_bytes(path.read_bytes() + b"\x00")
    with pytest.raises(InputError, match="not a flax checkpoint"):
        read_flax(path)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write({"a": 1}, tmp_path / "a")
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(BackendError, match=r"pip install 'purecert\[import\]'"):
        read_flax(path)


def _state(**changes: Any) -> dict[str, Any]:
    fields = ("params", "params_ema", "model_state", "opt_state", "rng_state")
    return {name: {name: torch.ones(1)} for name in fields} | {"step": 3, "lr": 0.5, "ema_rate": 0.9} | changes


@pytest.mark.parametrize(
    "state", [_state(), _state(step=torch.tensor(3)), _state(target_params={}), _state(lr=1, model_state={})]
)
def test_the_averaged_weights_of_a_training_state_are_chosen(state: dict[str, Any]) -> None:
    assert list(train_state(state, "file")) == ["params_ema"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ([], "file: expected a training state, found list"),
        ({"Conv_0": {}}, "field 'step' is missing"),
        ({key: value for key, value in _state().items() if key != "params_ema"}, "field 'params_ema' is missing"),
        (_state(more=1), "unknown field more"),
        (_state(step=torch.ones(8)), "field 'step': expected a number, found Tensor"),
        (_state(lr="fast"), "field 'lr': expected a number, found str"),
        (_state(ema_rate=True), "field 'ema_rate': expected a number, found bool"),
        (_state(params_ema={}), "'params_ema' holds no weights"),
        (_state(params_ema=torch.ones(1)), "'params_ema' holds no weights"),
    ],
)
def test_another_state_is_refused(state: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        train_state(state, "file")


@pytest.mark.shared
def test_a_published_checkpoint_holds_the_published_weights_bit_for_bit() -> None:
    weights = train_state(read_flax(shared("vectors/networks/jcm_checkpoint_A.msgpack")), "file")
    expected = golden("jcm_ncsnpp_A").state("params_ema/")
    assert expected
    for path, value in expected.items():
        found: Any = weights
        for key in path.split("/"):
            found = found[key]
        assert found.dtype == value.dtype
        assert torch.equal(found, value)
