"""Safetensors files come back as they were written, and are refused where their header lies."""

import json
import struct
import sys
from pathlib import Path

import pytest
import torch

from purecert.engine.errors import BackendError, InputError
from purecert.train.readers.safetensors_files import read_safetensors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    from safetensors.torch import save_file

    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b.half": torch.ones(2).bfloat16(), "n": torch.tensor(3)}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"format": "pt"})
    return tmp_path / "a.safetensors"


def _write(path: Path, header: object, data: bytes = bytes(16)) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_tensors_survive_the_round_trip(path: Path) -> None:
    read = read_safetensors(path)
    assert set(read) == {"a", "b.half", "n"}
    torch.testing.assert_close(read["a"], torch.arange(6.0).reshape(2, 3), rtol=0, atol=0)
    torch.testing.assert_close(read["b.half"], torch.ones(2).bfloat16(), rtol=0, atol=0)
    assert read["n"] == 3


def _entry(**changes: object) -> dict[str, object]:
    return {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} | changes}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"not JSON at all", "header is no JSON object"),
        (b"[1, 2]", "header is no JSON object"),
        (b"[" * 50_000, "header is no JSON object"),
        (b'{"a": 1, "a": 2}', "header is no JSON object"),
        (b"\xff\xfe\xff", "header is no JSON object"),
        (_entry(dtype="F33"), "tensor a: unknown dtype F33"),
        (_entry(dtype=["F32"]), "tensor a: unknown dtype list"),
        (_entry(shape=[-4]), "whole numbers from 0"),
        (_entry(shape=[4.0]), "whole numbers from 0"),
        (_entry(shape="4"), "whole numbers from 0"),
        (_entry(shape=[2**40, 2**40]), "damaged; 16 bytes for shape"),
        (_entry(shape=[5]), r"damaged; 16 bytes for shape \[5\] of F32"),
        (_entry(data_offsets=[0, 32]), "ends at byte 32 of 16"),
        (_entry(data_offsets=[16, 0]), "damaged; -16 bytes"),
        (_entry(data_offsets=[0]), "two offsets"),
        (_entry(extra=1), "expected dtype, shape and data_offsets"),
        ({"a": 3}, "expected dtype, shape and data_offsets"),
        ({"two\nlines": 3}, r"tensor two\\nlines: expected"),
        (_entry(shape=[2], data_offsets=[0, 8]), "its tensors take 8 bytes, the file holds 16"),
        (_entry(shape=[2], data_offsets=[8, 16]), "not a safetensors file"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, header: object, words: str) -> None:
    _write(tmp_path / "a.safetensors", header)
    with pytest.raises(InputError, match=words) as caught:
        read_safetensors(tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(BackendError, match=r"pip install 'purecert\[import\]'"):
        read_safetensors(path)
