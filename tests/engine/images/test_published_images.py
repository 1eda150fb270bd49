"""CIFAR-10 and idx files: against other copies of the same data, and every damage."""

import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.images.cifar10 import read_batch
from purecert.engine.images.datasets import load_dataset
from support.image_data import TouchWhenLoaded, labels_of
from support.shared_files import shared

# cifar10


@pytest.mark.shared
@pytest.mark.slow  # unpacks 170 MB
def test_cifar10_archive_holds_the_published_subset() -> None:
    data = shared("data")
    from_archive = load_dataset("cifar10:test[::20]", data)
    assert from_archive.images.shape == (500, 3, 32, 32)
    assert from_archive.class_names[3] == "cat"
    # The same 500 images, kept apart by another program.
    from_npz = load_dataset(f"npz:{data}/cifar10/cifar10_test_skip20_500.npz")
    assert from_archive.fingerprint == from_npz.fingerprint


def test_cifar10_file_with_other_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(_batch({b"data": b"", b"labels": []}))
    with pytest.raises(InputError, match="expected test_batch with MD5 40351d587109b95175f43aff81a1287e, found"):
        load_dataset("cifar10:test", tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08\x00damaged", b"no archive"])
def test_damaged_cifar10_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(content)
    with pytest.raises(InputError, match=r"cifar-10-python\.tar\.gz: expected a whole archive"):
        load_dataset("cifar10:test", tmp_path)


def test_cifar10_archive_cut_short_is_refused(tmp_path: Path) -> None:
    whole = _tar_gz({"cifar-10-batches-py/test_batch": np.random.default_rng(1).bytes(100_000)})
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(whole[:50_000])
    with pytest.raises(InputError, match="expected a whole archive, found"):
        load_dataset("cifar10:test", tmp_path)


def test_cifar10_archive_without_the_batch_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(_tar_gz({"cifar-10-batches-py/data_batch_1": b"x"}))
    with pytest.raises(InputError, match="expected test_batch in cifar-10-batches-py/, found none"):
        load_dataset("cifar10:test", tmp_path)


def test_batch_of_arrays_is_read() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3072), np.uint8)
    images, labels = read_batch(_batch({b"data": pixels, b"labels": [3, 8]}))
    # 1,024 red values row by row, then green, then blue (the data set's own page).
    assert images[1, 2, 5, 7] == pixels[1, 2 * 1024 + 5 * 32 + 7]
    assert labels.tolist() == [3, 8]


class _Evaluate:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1",)


def test_pickle_that_runs_code_is_refused_unrun(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a pickle of arrays, found \S+ in it; do not open this file"):
        read_batch(pickle.dumps({b"data": TouchWhenLoaded(tmp_path / "marker"), b"labels": []}))
    with pytest.raises(InputError, match=r"found \S*builtins?\S*\.eval in it"):
        read_batch(pickle.dumps({b"data": _Evaluate()}))
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps([1]), pickle.dumps({b"data": [1], b"labels": [1]})])
def test_pickle_of_another_form_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="expected a batch of CIFAR-10, found"):
        read_batch(content)


# idx


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("name", "last_class"), [("mnist", "9"), ("fashion_mnist", "Ankle boot")])
def test_idx_files_come_back_as_written(name: str, last_class: str, packed: bool, tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (5, 6, 7), np.uint8)
    _write_idx(tmp_path, images, [9, 0, 3, 3, 1], packed=packed)
    data = load_dataset(f"{name}:test[1:]", tmp_path)
    np.testing.assert_array_equal(data.images, images[1:, None])
    assert labels_of(data).tolist() == [0, 3, 3, 1]
    assert data.indices.tolist() == [1, 2, 3, 4]
    assert (data.name, data.class_names[9]) == (f"{name}:test", last_class)


def test_folder_of_the_data_sets_name_goes_first(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    for folder, pixel in ((tmp_path, 1), (tmp_path / "mnist", 2)):
        _write_idx(folder, np.full((1, 2, 2), pixel, np.uint8), [0], packed=False)
    assert load_dataset("mnist:test", tmp_path).images.max() == 2
    assert load_dataset("fashion_mnist:test", tmp_path).images.max() == 1


@pytest.mark.shared
def test_fashion_mnist_is_the_published_one_and_no_mnist(tmp_path: Path) -> None:
    data = load_dataset("fashion_mnist:test", shared("data"))
    assert data.images.shape == (10_000, 1, 28, 28)
    assert np.bincount(labels_of(data)).tolist() == [1000] * 10  # Xiao, Rasul and Vollgraf (2017): 1,000 per class
    (folder := tmp_path / "elsewhere").mkdir()
    for path in (shared("data") / "fashion_mnist").glob("t10k-*"):
        (folder / path.name).symlink_to(path.resolve())
    with pytest.raises(InputError, match=r"expected t10k-images-idx3-ubyte of mnist, found .* of fashion_mnist"):
        load_dataset("mnist:test", folder)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("images-idx3", b"", "expected the idx magic number 0x00000803, found 0 bytes"),
        ("images-idx3", struct.pack(">IIII", 0x801, 1, 2, 2) + bytes(4), "magic number 0x00000803, found 0x00000801"),
        ("images-idx3", struct.pack(">IIII", 0x803, 2, 2, 2) + bytes(7), "expected 8 bytes of data, found 7"),
        ("images-idx3", struct.pack(">IIII", 0x803, 1, 2, 2) + bytes(5), "expected 4 bytes of data, found 5"),
        ("images-idx3", struct.pack(">IIII", 0x803, *[2**32 - 1] * 3), "bytes of data, found 0"),
        ("labels-idx1", struct.pack(">II", 0x801, 3) + bytes(3), "expected 2 integer labels, one per image"),
        ("labels-idx1", struct.pack(">II", 0x801, 2) + bytes([0, 10]), r"expected labels in 0\.\.9, found 10"),
    ],
)
def test_damaged_idx_file_is_refused(file: str, content: bytes, words: str, tmp_path: Path) -> None:
    _write_idx(tmp_path, np.zeros((2, 2, 2), np.uint8), [0, 1], packed=False)
    (tmp_path / f"t10k-{file}-ubyte").write_bytes(content)
    with pytest.raises(InputError, match=words):
        load_dataset("mnist:test", tmp_path)


@pytest.mark.parametrize("kept", [0, 5, 40])
def test_packed_idx_file_cut_short_is_refused(kept: int, tmp_path: Path) -> None:
    _write_idx(tmp_path, np.random.default_rng(1).integers(0, 256, (9, 9, 9), np.uint8), [0] * 9, packed=True)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"expected a whole idx file|expected the idx magic number"):
        load_dataset("mnist:test", tmp_path)


def test_missing_idx_labels_are_named(tmp_path: Path) -> None:
    _write_idx(tmp_path, np.zeros((2, 2, 2), np.uint8), [0, 1], packed=False)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(
        InputError, match=r"expected t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte[.]gz, found neither"
    ):
        load_dataset("mnist:test", tmp_path)


def _batch(content: dict[bytes, object]) -> bytes:
    # NumPy's constructor lies elsewhere today than in the published files.
    return pickle.dumps(content, protocol=3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def _tar_gz(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _write_idx(folder: Path, images: NDArray[np.uint8], labels: list[int], *, packed: bool) -> None:
    files = {
        "images-idx3": struct.pack(">IIII", 0x803, *images.shape) + images.tobytes(),
        "labels-idx1": struct.pack(">II", 0x801, len(labels)) + bytes(labels),
    }
    for name, content in files.items():
        path = folder / f"t10k-{name}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(content) if packed else content)
