"""Files of torch.save come back as they were written, in both of its formats, and are refused where they lie."""

import io
import pickle
import pickletools
import zipfile
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.train.readers.torch_files import read_torch
from support.golden import shared

_FORMATS = pytest.mark.parametrize("new_format", [True, False], ids=["zip", "legacy"])


def _save(content: object, path: Path, new_format: bool) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    return path


def _edit_pickle(path: Path, old: bytes, new: bytes) -> None:
    """Rewrite the pickle in a zip archive, its checksums included."""
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    name = next(name for name in entries if name.endswith("data.pkl"))
    assert old in entries[name]
    entries[name] = entries[name].replace(old, new)
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in entries.items():
            archive.writestr(entry, data)


@_FORMATS
def test_containers_and_tensors_survive_the_round_trip(tmp_path: Path, new_format: bool) -> None:
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    content: dict[Any, Any] = {
        "state_dict": OrderedDict(view=base.T[1:3], base=base, half=base.half(), whole=torch.tensor(7)),
        "epoch": 3,
        "best": 0.5,
        "names": ["a", None, True, (1, 2)],
        "shape": base.shape,
        "empty": torch.empty(0, 3),
        4: {"key", "other"},
    }
    read = read_torch(_save(content, tmp_path / "a.pth", new_format))
    assert type(read["state_dict"]) is dict
    for key, value in content["state_dict"].items():
        torch.testing.assert_close(read["state_dict"][key], value, rtol=0, atol=0)
    assert {key: read[key] for key in ("epoch", "best", "names", "shape", 4)} == {
        key: content[key] for key in ("epoch", "best", "names", "shape", 4)
    }
    assert read["empty"].shape == (0, 3)


@_FORMATS
def test_a_module_state_with_parameters_comes_back_as_plain_tensors(tmp_path: Path, new_format: bool) -> None:
    module = nn.BatchNorm1d(3)
    content = {"state": module.state_dict(), "parameter": module.weight}
    read = read_torch(_save(content, tmp_path / "a.pth", new_format))
    assert set(read["state"]) == {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    assert type(read["parameter"]) is Tensor
    assert not read["parameter"].requires_grad


@pytest.mark.slow
@_FORMATS
def test_nine_thousand_tensors_and_the_addresses_of_an_old_optimiser_are_read(tmp_path: Path, new_format: bool) -> None:
    tensors = {f"layer.{index}.weight": torch.full((1,), float(index)) for index in range(9000)}
    optimizer = {"state": {140_000_000_000_000 + 72 * index: {"step": index} for index in range(600)}}
    read = read_torch(_save({"state_dict": tensors, "optimizer": optimizer}, tmp_path / "a.pth", new_format))
    assert all(torch.equal(read["state_dict"][name], value) for name, value in tensors.items())
    assert read["optimizer"] == optimizer


def test_an_ordered_dict_as_python_2_wrote_it_is_read(tmp_path: Path) -> None:
    path = _save({"a": [None]}, tmp_path / "a.pth", True)
    pairs = b"ccollections\nOrderedDict\n](](U\x01bK\x01e](U\x01aK\x02ee\x85R"
    _edit_pickle(path, b"]q\x02Na", pairs)
    assert list(read_torch(path)["a"].items()) == [("b", 1), ("a", 2)]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "tensors"),
    [
        ("resnet20-12fca82f.th", 97),
        ("resnet56-4bfd9763.th", 277),
        ("color_kair/ffdnet_color.pth", 24),
        ("color_kair/dncnn_color_blind.pth", 40),
        ("cifar10_ddpm_hirokiuemura2/model_weights_shallow_24Channels.pth", 59),
    ],
)
def test_public_files_read_as_torch_reads_them(file: str, tensors: int) -> None:
    path = shared(f"data/weights/{file}")
    read, expected = read_torch(path), torch.load(path, map_location="cpu", weights_only=True)
    read, expected = read.get("state_dict", read), expected.get("state_dict", expected)
    assert list(read) == list(expected)
    assert len([key for key in read if not key.endswith("num_batches_tracked")]) <= tensors <= len(read)
    for key, value in expected.items():
        torch.testing.assert_close(read[key], value, rtol=0, atol=0)


@_FORMATS
@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"args": Namespace(sigma=0.5)}, "argparse.Namespace"),
        ({"accuracy": np.float64(0.5)}, "numpy._core.multiarray.scalar"),
        (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        ({"file": Path("x")}, "pathlib"),
    ],
)
def test_an_object_is_refused_by_its_name(tmp_path: Path, content: object, name: str, new_format: bool) -> None:
    path = _save(content, tmp_path / "a.pth", new_format)
    with pytest.raises(InputError, match=f"holds {name}.*more than plain types and tensors.*state_dict"):
        read_torch(path)


def test_a_plain_pickle_is_no_file_of_torch(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InputError, match="not a checkpoint of torch"):
        read_torch(tmp_path / "a.pth")


def test_another_pickle_protocol_is_named(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth", pickle_protocol=4)
    with pytest.raises(InputError, match="pickle protocol 4"):
        read_torch(tmp_path / "a.pth")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_compressed_entries_are_refused(tmp_path: Path, compression: int) -> None:
    path = _save({"a": torch.zeros(1000)}, tmp_path / "a.pth", True)
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match=r"data\.pkl is compressed"):
        read_torch(path)


def test_a_code_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data.pkl", b"")
        archive.writestr("a/constants.pkl", b"")
    with pytest.raises(InputError, match="TorchScript archive, which is code"):
        read_torch(tmp_path / "a.pt")


def test_another_zip_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/readme.txt", b"hello")
    with pytest.raises(InputError, match=r"no data\.pkl"):
        read_torch(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        # BININT1 4 elements of the storage, then of the shape, to BININT 2^28
        (b"cpuq\x06K\x04", b"cpuq\x06J\x00\x00\x00\x10", "storage 0 claims 1073741824 bytes, its entry holds 16"),
        (b"K\x04\x85q\x08K\x01", b"J\x00\x00\x00\x10\x85q\x08K\x01", "tensor claims 268435456 elements of .* 4"),
        (b"K\x04\x85q\x08K\x01", b"J\x00\x00\x00\x10\x85q\x08K\x00", "tensor claims 268435456 elements of .* 4"),
        (b"QK\x00K\x04", b"QK\x01K\x04", "tensor claims 5 elements of a storage of 4"),
        (b"QK\x00K\x04", b"QJ\xff\xff\xff\xffK\x04", "tensor is not described"),
        (b"X\x01\x00\x00\x000q\x05", b"X\x01\x00\x00\x009q\x05", "storage 9 claims 16 bytes, its entry holds 0"),
        (b"FloatStorage", b"OtherStorage", r"holds torch\.OtherStorage"),
    ],
)
def test_a_claim_beyond_the_file_is_refused(tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
    path = _save({"a": torch.zeros(4)}, tmp_path / "a.pth", True)
    _edit_pickle(path, old, new)
    with pytest.raises(InputError, match=words):
        read_torch(path)


def test_a_legacy_storage_that_no_bytes_follow_for_is_refused(tmp_path: Path) -> None:
    data = _save({"a": torch.zeros(4)}, tmp_path / "a.pth", False).read_bytes()
    stream = io.BytesIO(data)
    for _ in range(4):  # up to the list of storages
        assert list(pickletools.genops(stream))
    (tmp_path / "a.pth").write_bytes(data[: stream.tell()] + pickle.dumps([], protocol=2))
    with pytest.raises(InputError, match="list of storages is not that of its tensors"):
        read_torch(tmp_path / "a.pth")


def test_attributes_in_a_file_cannot_replace_methods(tmp_path: Path) -> None:
    state = OrderedDict(a=torch.ones(1))
    state.__dict__["keys"] = 3
    read = read_torch(_save({"state": state}, tmp_path / "a.pth", True))
    assert list(read["state"].keys()) == ["a"]


def test_a_list_that_holds_itself_is_read(tmp_path: Path) -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    read = read_torch(_save(loop, tmp_path / "a.pth", True))
    assert read[1] is read


def test_lists_nested_too_deep_are_refused(tmp_path: Path) -> None:
    path = _save({"a": [None]}, tmp_path / "a.pth", True)
    _edit_pickle(path, b"]q\x02Na", b"]" * 20_000 + b"N" + b"a" * 20_000)
    with pytest.raises(InputError, match="nested too deep"):
        read_torch(path)


@_FORMATS
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, new_format: bool) -> None:
    data = _save({"a": torch.ones(3), "b": [1, "two"]}, tmp_path / "a.pth", new_format).read_bytes()
    for length in range(0, len(data) - 1, 1 + len(data) // 100):
        (tmp_path / "a.pth").write_bytes(data[:length])
        with pytest.raises(InputError):
            read_torch(tmp_path / "a.pth")


def test_a_flipped_bit_in_a_zip_archive_is_refused(tmp_path: Path) -> None:
    path = _save({"a": torch.ones(1000)}, tmp_path / "a.pth", True)
    data = bytearray(path.read_bytes())
    data[2000] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged at"):
        read_torch(path)


def test_flipped_bits_in_a_legacy_file_raise_one_line_or_nothing(tmp_path: Path) -> None:
    path = _save({"a": torch.ones(2), "b": OrderedDict(c=torch.zeros(2, 2))}, tmp_path / "a.pth", False)
    data = path.read_bytes()
    refused = 0
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        try:
            read_torch(path)
        except InputError as error:
            refused += "\n" not in str(error)
    assert refused > len(data) // 3
