"""Files in the safetensors format: a length, a JSON header, the bytes of the tensors."""

import json
import math
import struct
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

from torch import Tensor

from purecert.engine.errors import BackendError, InputError
from purecert.train.readers.opened import on_one_line, opened

_LENGTH = struct.Struct("<Q")
# A U-Net of 552 million parameters has 566 tensors, described in 60 kB.
_MAX_HEADER, _MAX_TENSORS = 2_000_000, 20_000  # in bytes; the library itself would read 100 MB
_ELEMENT_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU.

    Raises:
        InputError: The file cannot be read, is no safetensors file, is damaged, or claims more than it holds.
        BackendError: The safetensors package is not installed.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise BackendError("safetensors files need the safetensors package: pip install 'purecert[import]'") from error
    with opened(path) as file:
        _check(file, path)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, RuntimeError, ValueError, LookupError, OSError) as error:
        raise InputError(f"{path}: not a safetensors file ({on_one_line(str(error))})") from error
    return tensors


def _check(file: BufferedReader, path: Path) -> None:
    size = file.seek(0, 2)
    file.seek(0)
    if size < _LENGTH.size:
        raise InputError(f"{path}: not a safetensors file; expected at least {_LENGTH.size} bytes, found {size}")
    length: int = _LENGTH.unpack(file.read(_LENGTH.size))[0]
    if length > size - _LENGTH.size:
        raise InputError(f"{path}: not a safetensors file, or cut short; its header claims {length} bytes of {size}")
    if length > _MAX_HEADER:
        raise InputError(f"{path}: its header takes {length} bytes; that of a network takes at most {_MAX_HEADER}")
    held = size - _LENGTH.size - length
    end = 0
    for name, description in _parse(file.read(length), path).items():
        if name != "__metadata__":
            end = max(end, _check_tensor(description, held, f"{path}: tensor {on_one_line(name)}"))
    if end != held:
        raise InputError(f"{path}: damaged or cut short; its tensors take {end} bytes, the file holds {held}")


def _parse(header: bytes, path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(header, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a safetensors file; its header is no JSON object") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a safetensors file; its header is no JSON object")
    if len(content) > _MAX_TENSORS:
        raise InputError(f"{path}: holds {len(content)} tensors; a network has at most {_MAX_TENSORS}")
    return content


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(content := dict(pairs)) < len(pairs):
        raise ValueError("a key is there twice")
    return content


def _check_tensor(description: object, held: int, where: str) -> int:
    """Return where the tensor ends, in bytes from the first tensor's start."""
    if not isinstance(description, dict) or set(description) != {"dtype", "shape", "data_offsets"}:
        raise InputError(f"{where}: expected dtype, shape and data_offsets")
    dtype, shape, offsets = description["dtype"], description["shape"], description["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _ELEMENT_BYTES:
        raise InputError(f"{where}: unknown dtype {on_one_line(dtype)}; known are {', '.join(_ELEMENT_BYTES)}")
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        raise InputError(f"{where}: expected a shape and two offsets of whole numbers from 0")
    start, end = offsets
    if end > held:
        raise InputError(f"{where}: damaged or cut short; it ends at byte {end} of {held}")
    if end - start != math.prod(shape) * _ELEMENT_BYTES[dtype]:
        raise InputError(f"{where}: damaged; {end - start} bytes for shape {on_one_line(str(shape))} of {dtype}")
    return int(end)


def _are_counts(values: object) -> bool:
    return isinstance(values, list) and len(values) <= 64 and all(type(v) is int and 0 <= v < 2**62 for v in values)
