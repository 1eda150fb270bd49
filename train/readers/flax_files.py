"""Checkpoints of flax (``flax.serialization.to_bytes``): msgpack with arrays as extension types, read without jax."""

import math
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from purecert.engine.errors import BackendError, InputError
from purecert.train.readers.opened import on_one_line, opened

_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3  # flax's extension types
_CHUNKED = "__msgpack_chunked_array__"  # marks an array over 2^30 bytes
_DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int64": torch.int64,
    "int32": torch.int32,
    "int16": torch.int16,
    "int8": torch.int8,
    "uint64": torch.uint64,
    "uint32": torch.uint32,
    "uint16": torch.uint16,
    "uint8": torch.uint8,
    "bool": torch.bool,
}
# Published states have a few hundred leaves, names of some ten letters, and no list longer than an array's shape.
_MAX_ENTRIES, _MAX_NAME, _MAX_LIST = 100_000, 4096, 64
# Of openai/consistency_models_cifar10; a checkpoint of distillation holds target_params, too.
_STATE_FIELDS = ("step", "lr", "ema_rate", "params", "params_ema", "model_state", "opt_state", "rng_state")
_OPTIONAL_FIELDS = ("target_params",)


def read_flax(path: Path) -> Any:
    """Return the nested mappings, tensors and plain values of a file.

    Raises:
        InputError: The file cannot be read, is no such file, is damaged, or claims more than it holds.
        BackendError: The msgpack package is not installed.
    """
    with opened(path) as file:
        if not file.seek(0, 2):
            raise InputError(f"{path}: not a flax checkpoint; the file is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:  # the file may take gigabytes
            return _unpack_file(content, path)


def _unpack_file(content: mmap.mmap, path: Path) -> Any:
    try:
        return _unpack(content, ext_hook=_extension, object_pairs_hook=_mapping, max_ext_len=len(content))
    except (ValueError, TypeError, RuntimeError, MemoryError, OverflowError) as error:
        reason = on_one_line(str(error)) or type(error).__name__
        raise InputError(f"{path}: not a flax checkpoint, damaged or cut short ({reason})") from error


def _unpack(content: bytes | mmap.mmap, **options: Any) -> Any:
    """Return one msgpack value that takes all of ``content``; lengths are checked before room is made for them."""
    try:
        import msgpack  # type: ignore[import-untyped]
    except ImportError as error:
        raise BackendError("flax checkpoints need the msgpack package: pip install 'purecert[import]'") from error
    limits = {"max_map_len": _MAX_ENTRIES, "max_str_len": _MAX_NAME, "max_array_len": _MAX_LIST, "max_bin_len": 0}
    return msgpack.unpackb(content, raw=False, strict_map_key=True, **(limits | options))


def _extension(kind: int, payload: bytes) -> Any:
    if kind == _COMPLEX:
        raise ValueError("holds a complex number, which no network here has")
    if kind not in (_ARRAY, _SCALAR):
        raise ValueError(f"holds extension type {kind}; flax writes {_ARRAY} and {_SCALAR}")
    array = _array(_unpack(payload, max_bin_len=len(payload), max_ext_len=0))
    return array if kind == _ARRAY else array.item()


def _array(parts: object) -> Tensor:
    """Return the tensor of (shape, dtype name, elements in C order)."""
    if not isinstance(parts, list) or len(parts) != 3 or not isinstance(parts[2], bytes):
        raise ValueError("an array is not described as shape, dtype and bytes")
    shape, name, data = parts
    if not isinstance(name, str) or name not in _DTYPES:
        raise ValueError(f"an array has the unknown dtype {on_one_line(name)}")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array's shape is no list of whole numbers")
    if math.prod(shape) * _DTYPES[name].itemsize != len(data):
        raise ValueError(f"an array of shape {on_one_line(str(shape))} and {name} has {len(data)} bytes")
    if not data:
        return torch.empty(shape, dtype=_DTYPES[name])
    return torch.frombuffer(bytearray(data), dtype=_DTYPES[name]).reshape(shape)


def _mapping(pairs: list[tuple[Any, Any]]) -> Any:
    content = dict(pairs)
    if len(content) < len(pairs) or not all(isinstance(key, str) for key in content):
        raise ValueError("a mapping holds a key twice, or one that is no text")
    return _join_chunks(content) if _CHUNKED in content else content


def _join_chunks(content: Mapping[str, Any]) -> Tensor:
    if set(content) != {_CHUNKED, "shape", "chunks"}:
        raise ValueError("a chunked array is not described as shape and chunks")
    shape, chunks = _tuple(content["shape"]), _tuple(content["chunks"])
    if not all(type(n) is int and n >= 0 for n in shape) or not chunks:
        raise ValueError("a chunked array has no chunks, or a shape of other things than whole numbers")
    if not all(isinstance(chunk, Tensor) and chunk.dim() == 1 and chunk.dtype == chunks[0].dtype for chunk in chunks):
        raise ValueError("the chunks of an array are not flat arrays of one dtype")
    if sum(chunk.numel() for chunk in chunks) != math.prod(shape):
        raise ValueError(f"the chunks of an array do not fill its shape {on_one_line(str(shape))}")
    return torch.cat(chunks).reshape(shape)


def _tuple(content: object) -> tuple[Any, ...]:
    """Return the tuple that flax wrote as a mapping from "0", "1", ... to its items."""
    if not isinstance(content, Mapping) or list(content) != [str(index) for index in range(len(content))]:
        raise ValueError("a tuple is not written as a mapping from 0, 1, ...")
    return tuple(content.values())


def train_state(content: object, where: str) -> Mapping[str, Any]:
    """Return the averaged weights, ``params_ema``, of what ``read_flax`` returned for a training state.

    Args:
        content: What the file holds.
        where: The file's name, for messages.

    Raises:
        InputError: It is no such state: a field is missing, unknown or of another kind.
    """
    if not isinstance(content, Mapping):
        raise InputError(f"{where}: expected a training state, found {type(content).__name__}")
    if missing := [name for name in _STATE_FIELDS if name not in content]:
        raise InputError(f"{where}: not a training state of a consistency model; field {missing[0]!r} is missing")
    if unknown := [name for name in content if name not in _STATE_FIELDS + _OPTIONAL_FIELDS]:
        raise InputError(
            f"{where}: not a training state of a consistency model; unknown field {on_one_line(unknown[0])}"
        )
    for name in ("step", "lr", "ema_rate"):
        _check_number(content[name], f"{where}: field {name!r}")
    weights = content["params_ema"]
    if not isinstance(weights, Mapping) or not weights:
        raise InputError(f"{where}: field 'params_ema' holds no weights")
    return weights


def _check_number(value: object, what: str) -> None:
    is_scalar = isinstance(value, Tensor) and value.dim() == 0
    if not is_scalar and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise InputError(f"{what}: expected a number, found {type(value).__name__}")
