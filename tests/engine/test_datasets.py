"""Images by index: against published values, exact arithmetic, other readers of the same data, and every bad input."""

import gzip
import io
import pickle
import re
import struct
import sys
import tarfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from purecert.engine.cifar10 import read_batch
from purecert.engine.datasets import Dataset, load_dataset
from purecert.engine.errors import BackendError, InputError

_SHARED = Path(__file__).parents[3] / "shared" / "data"
_needs_shared = pytest.mark.skipif(not _SHARED.exists(), reason="the data sets of ../shared/data are not there")
_bounds = st.none() | st.integers(-600, 600)


# digits


def test_digits_have_the_published_number_of_images_per_class() -> None:
    both = [load_dataset("digits:train"), load_dataset("digits:test")]
    assert [len(part) for part in both] == [1297, 500]
    labels = np.concatenate([part.labels for part in both if part.labels is not None])
    # Of optdigits.tes, in the UCI repository's description of the data set.
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_first_digit_is_the_first_published_one_on_the_8_bit_scale() -> None:
    # The first line of optdigits.tes: 64 values in 0..16, and the label 0.
    line = (
        "0,0,5,13,9,1,0,0,0,0,13,15,10,15,5,0,0,3,15,2,0,11,8,0,0,4,12,0,0,8,8,0,"
        "0,5,8,0,0,9,8,0,0,4,11,0,1,12,7,0,0,2,14,5,10,12,0,0,0,0,6,13,10,0,0,0"
    )
    expected = [round(Fraction(255 * int(value), 16)) for value in line.split(",")]
    digit = load_dataset("digits:train[0]")
    assert digit.images.shape == (1, 1, 8, 8)
    assert digit.images.ravel().tolist() == expected
    assert digit.labels is not None
    assert digit.labels.tolist() == [0]


def test_loaded_images_are_bytes_in_c_order() -> None:
    data = load_dataset("digits:test[::3]")
    assert data.images.dtype == np.uint8
    assert data.images.flags.c_contiguous
    assert (data.name, data.classes, data.class_names, data.quantised) == (
        "digits:test",
        10,
        tuple("0123456789"),
        False,
    )


# slices


@given(start=_bounds, stop=_bounds, step=st.none() | st.integers(1, 700))
def test_slice_picks_what_python_picks_and_keeps_the_index(
    start: int | None, stop: int | None, step: int | None
) -> None:
    whole, text = (
        load_dataset("digits:test"),
        ":".join("" if part is None else str(part) for part in (start, stop, step)),
    )
    expected = np.arange(500)[start:stop:step]
    if not len(expected):
        with pytest.raises(InputError, match="expected some of 500 images, got none"):
            load_dataset(f"digits:test[{text}]")
        return
    part = load_dataset(f"digits:test[{text}]")
    np.testing.assert_array_equal(part.indices, expected)
    np.testing.assert_array_equal(part.images, whole.images[expected])
    np.testing.assert_array_equal(part.labels, _labels(whole)[expected])


@pytest.mark.parametrize(("position", "index"), [("0", 0), ("499", 499), ("-1", 499), ("-500", 0), (" +7 ", 7)])
def test_single_position_picks_one_image(position: str, index: int) -> None:
    assert load_dataset(f"digits:test[{position}]").indices.tolist() == [index]


@pytest.mark.parametrize("text", ["", "a", "1.5", "1:2:3:4", "1,2", "0x1", "--1", "१", "9" * 30])
def test_bad_slice_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"expected a slice like \[:100\]"):
        load_dataset(f"digits:test[{text}]")


@pytest.mark.parametrize("step", [0, -1])
def test_backward_slice_is_refused(step: int) -> None:
    with pytest.raises(InputError, match=f"expected a step of at least 1, got {step}"):
        load_dataset(f"digits:test[::{step}]")


@pytest.mark.parametrize("position", [500, -501])
def test_position_outside_the_split_is_refused(position: int) -> None:
    with pytest.raises(InputError, match="expected some of 500 images, got none"):
        load_dataset(f"digits:test[{position}]")


# names


@pytest.mark.parametrize("spec", ["", "cifar100:test", "digits-test", "npz:", "folder:", ":test", "[:10]"])
def test_unknown_name_is_refused_with_those_there_are(spec: str) -> None:
    with pytest.raises(InputError, match="expected digits:test, cifar10:test, mnist:test"):
        load_dataset(spec)


@pytest.mark.parametrize("name", ["digits", "cifar10", "mnist", "fashion_mnist"])
def test_split_must_be_named(name: str, tmp_path: Path) -> None:
    for split in ("", "val"):
        with pytest.raises(InputError, match=f"expected {name}:train or {name}:test, got split '{split}'"):
            load_dataset(f"{name}:{split}", tmp_path)


@pytest.mark.parametrize("name", ["cifar10", "mnist", "fashion_mnist"])
def test_data_from_disk_needs_a_directory(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{name}: expected --data-dir"):
        load_dataset(f"{name}:test")
    with pytest.raises(InputError, match="expected a folder that holds"):
        load_dataset(f"{name}:test", tmp_path / "absent")
    with pytest.raises(InputError, match=r"found neither; is --data-dir right\?"):
        load_dataset(f"{name}:test", tmp_path)


# fingerprint


def test_fingerprint_is_of_shape_indices_pixels_and_labels() -> None:
    data = load_dataset("digits:test[:8]")
    changed_pixel, changed_label = data.images.copy(), _labels(data).copy()
    changed_pixel[3, 0, 4, 4] ^= 1
    changed_label[3] += 1
    others = [
        replace(data, images=changed_pixel),
        replace(data, labels=changed_label),
        replace(data, labels=None),
        replace(data, indices=data.indices + 1),
        replace(data, images=data.images.reshape(8, 1, 4, 16)),
        load_dataset("digits:test[1:9]"),
    ]
    fingerprints = {other.fingerprint for other in (data, *others)}
    assert len(fingerprints) == 1 + len(others)
    assert all(re.fullmatch("[0-9a-f]{64}", fingerprint) for fingerprint in fingerprints)


def test_fingerprint_does_not_depend_on_where_the_images_come_from(tmp_path: Path) -> None:
    data = load_dataset("digits:test[5:50:5]")
    np.savez(tmp_path / "copy.npz", x=data.images, y=_labels(data), idx=data.indices)
    assert load_dataset(f"npz:{tmp_path}/copy.npz").fingerprint == data.fingerprint


# cifar10


@_needs_shared
@pytest.mark.slow  # unpacks 170 MB
def test_cifar10_archive_holds_the_published_subset() -> None:
    from_archive = load_dataset("cifar10:test[::20]", _SHARED)
    assert from_archive.images.shape == (500, 3, 32, 32)
    assert from_archive.class_names[3] == "cat"
    # The same 500 images, kept apart by another program.
    from_npz = load_dataset(f"npz:{_SHARED}/cifar10/cifar10_test_skip20_500.npz")
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


class _Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


class _Evaluate:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1",)


def test_pickle_that_runs_code_is_refused_unrun(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a pickle of arrays, found \S+ in it; do not open this file"):
        read_batch(pickle.dumps({b"data": _Touch(tmp_path / "marker"), b"labels": []}))
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
    assert _labels(data).tolist() == [0, 3, 3, 1]
    assert data.indices.tolist() == [1, 2, 3, 4]
    assert (data.name, data.class_names[9]) == (f"{name}:test", last_class)


def test_folder_of_the_data_sets_name_goes_first(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    for folder, pixel in ((tmp_path, 1), (tmp_path / "mnist", 2)):
        _write_idx(folder, np.full((1, 2, 2), pixel, np.uint8), [0], packed=False)
    assert load_dataset("mnist:test", tmp_path).images.max() == 2
    assert load_dataset("fashion_mnist:test", tmp_path).images.max() == 1


@_needs_shared
def test_fashion_mnist_is_the_published_one() -> None:
    data = load_dataset("fashion_mnist:test", _SHARED)
    assert data.images.shape == (10_000, 1, 28, 28)
    assert np.bincount(_labels(data)).tolist() == [1000] * 10  # Xiao, Rasul and Vollgraf (2017): 1,000 per class


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


# npz


def test_npz_keeps_its_own_indices_through_a_slice(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (6, 3, 4, 5), np.uint8)
    np.savez(tmp_path / "own.npz", images=images, labels=np.array([4, 0, 1, 2, 3, 1], np.int32), idx=np.arange(6) * 20)
    data = load_dataset(f"npz:{tmp_path}/own.npz[1::2]")
    assert data.indices.tolist() == [20, 60, 100]
    assert _labels(data).tolist() == [0, 2, 1]
    assert data.classes == 5  # of the whole file, whatever the slice
    assert data.name == "npz:own.npz"
    np.testing.assert_array_equal(data.images, images[1::2])


def test_npz_of_grey_images_needs_no_channel_and_no_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "grey.npz", x=np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    data = load_dataset(f"npz:{tmp_path}/grey.npz")
    assert data.images.shape == (2, 1, 3, 4)
    assert (data.labels, data.classes, data.quantised) == (None, 0, False)


@given(values=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30), kind=st.sampled_from(["<f2", "<f4"]))
def test_floats_round_to_8_bits_half_to_even(
    values: list[float], kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("floats") / "floats.npz"
    stored = np.array(values, kind).reshape(1, 1, 1, -1)
    np.savez(path, x=stored)
    data = load_dataset(f"npz:{path}")
    # Python rounds a fraction half to even, without an error of its own.
    assert data.images.ravel().tolist() == [round(Fraction(float(value)) * 255) for value in stored.ravel()]
    assert data.quantised


def test_half_way_float_rounds_to_the_even_byte(tmp_path: Path) -> None:
    np.savez(tmp_path / "half.npz", x=np.array([0.5, 0.0, 1.0]).reshape(1, 1, 1, 3))
    assert load_dataset(f"npz:{tmp_path}/half.npz").images.ravel().tolist() == [128, 0, 255]  # 127.5 to 128


_PIXELS = np.zeros((2, 1, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"z": _PIXELS}, "expected images under 'x' or 'images'"),
        ({"x": _PIXELS, "images": _PIXELS}, r"expected one of \['x', 'images'\], found both"),
        ({"x": _PIXELS.astype(np.int64)}, "expected uint8 images, or floats in .0, 1., found int64"),
        (
            {"x": np.zeros((2, 4, 4, 3), np.uint8)},
            r"found uint8 of shape \(2, 4, 4, 3\); save x.transpose\(0, 3, 1, 2\)",
        ),
        ({"x": np.zeros((4, 4), np.uint8)}, r"expected images \[n, C, H, W\] or \[n, H, W\]"),
        ({"x": np.zeros((0, 1, 4, 4), np.uint8)}, r"expected images \[n, C, H, W\] or \[n, H, W\]"),
        ({"x": np.full((1, 1, 2, 2), 1.01)}, r"expected floats in \[0, 1\], found 1.01..1.01"),
        ({"x": np.full((1, 1, 2, 2), -1e-9)}, r"expected floats in \[0, 1\], found -1e-09"),
        ({"x": np.full((1, 1, 2, 2), np.nan)}, r"expected floats in \[0, 1\], found nan"),
        ({"x": _PIXELS, "y": np.zeros(3, int)}, "expected 2 integer labels, one per image, found int64 of shape"),
        ({"x": _PIXELS, "y": np.zeros(2)}, "expected 2 integer labels, one per image, found float64"),
        ({"x": _PIXELS, "y": np.array([0, -1])}, r"expected labels in 0\.\.2147483647, found -1\.\.0"),
        ({"x": _PIXELS, "idx": np.array([5, 5])}, "expected idx to hold different numbers"),
        ({"x": _PIXELS, "idx": np.array([0, 2**32])}, r"expected idx to hold different numbers in 0\.\.4294967295"),
        ({"x": _PIXELS, "idx": np.arange(3)}, "expected idx to hold 2 integers"),
    ],
)
def test_npz_of_another_form_is_refused(arrays: dict[str, NDArray[np.generic]], words: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", **arrays)  # type: ignore[arg-type]  # its stub takes allow_pickle for a key
    with pytest.raises(InputError, match=words):
        load_dataset(f"npz:{tmp_path}/bad.npz")


def test_pickled_npz_is_refused_unrun(tmp_path: Path) -> None:
    hostile = np.array([_Touch(tmp_path / "marker")], dtype=object)
    np.savez(tmp_path / "object.npz", x=hostile)
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(_Touch(tmp_path / "marker")))
    for name in ("object.npz", "plain.npz"):
        with pytest.raises(InputError, match=r"expected an \.npz archive without pickles, found"):
            load_dataset(f"npz:{tmp_path}/{name}")
    assert not (tmp_path / "marker").exists()


def test_damaged_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", x=_PIXELS)
    content = (tmp_path / "whole.npz").read_bytes()
    for kept in (0, 10, len(content) // 2, len(content) - 10):
        (tmp_path / "cut.npz").write_bytes(content[:kept])
        with pytest.raises(InputError, match=r"expected an \.npz archive"):
            load_dataset(f"npz:{tmp_path}/cut.npz")


def test_npz_that_is_absent_or_one_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected an \.npz file, found none"):
        load_dataset(f"npz:{tmp_path}/absent.npz")
    np.save(tmp_path / "one.npy", _PIXELS)
    with pytest.raises(InputError, match=r"expected an \.npz archive, found one array"):
        load_dataset(f"npz:{tmp_path}/one.npy")


# folder


def test_class_folders_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 5, 6, 3), np.uint8)
    for number, name in enumerate(("dog/b.png", "cat/z.PNG", "dog/a.png", "cat/.hidden")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(pixels[number]).save(tmp_path / name, format="PNG")
    data = load_dataset(f"folder:{tmp_path}")
    np.testing.assert_array_equal(data.images, pixels[[1, 2, 0]].transpose(0, 3, 1, 2))
    assert _labels(data).tolist() == [0, 1, 1]
    assert (data.class_names, data.classes, data.name) == (("cat", "dog"), 2, f"folder:{tmp_path.name}")
    assert load_dataset(f"folder:{tmp_path}[1:]").indices.tolist() == [1, 2]


def test_flat_folder_has_no_labels(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / "grey.jpeg", quality=100)
    data = load_dataset(f"folder:{tmp_path}")
    assert (data.images.shape, data.labels, data.classes) == ((1, 1, 8, 8), None, 0)
    assert set(data.images.ravel().tolist()) == {200}


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 5), np.uint8), r"b.png: expected an image of \[C, H, W\] = \[1, 4, 4\] like a.png, found"),
        (np.zeros((4, 4, 3), np.uint8), r"b.png: expected an image of \[C, H, W\] = \[1, 4, 4\] like a.png, found"),
        (np.zeros((4, 4, 4), np.uint8), "b.png: expected mode L or RGB .8 bits per channel., found RGBA"),
        (np.zeros((4, 4), np.uint16), "b.png: expected mode L or RGB .8 bits per channel., found I;16"),
    ],
)
def test_odd_image_in_a_folder_is_named(image: NDArray[np.generic], words: str, tmp_path: Path) -> None:
    PIL.Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    PIL.Image.fromarray(image).save(tmp_path / "b.png")
    with pytest.raises(InputError, match=words):
        load_dataset(f"folder:{tmp_path}")


def test_image_that_the_slice_leaves_out_is_not_opened(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"damaged")
    assert len(load_dataset(f"folder:{tmp_path}[:1]")) == 1


@pytest.mark.parametrize("kept", [0, 20, 60, 1000])
def test_damaged_png_is_named(kept: int, tmp_path: Path) -> None:
    packed = io.BytesIO()
    PIL.Image.fromarray(np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)).save(packed, format="PNG")
    (tmp_path / "cut.png").write_bytes(packed.getvalue()[:kept])
    with pytest.raises(InputError, match=r"cut\.png: expected a whole PNG or JPEG file, found .*; replace it"):
        load_dataset(f"folder:{tmp_path}")


def test_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected PNG or JPEG files, or a folder of them per class, found none"):
        load_dataset(f"folder:{tmp_path}")
    with pytest.raises(InputError, match="expected a folder of images, found none"):
        load_dataset(f"folder:{tmp_path}/absent")
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(InputError, match=r"notes\.txt: expected a PNG or JPEG file, found another"):
        load_dataset(f"folder:{tmp_path}")
    (tmp_path / "cat").mkdir()
    with pytest.raises(InputError, match=r"found both; move notes\.txt or the folders"):
        load_dataset(f"folder:{tmp_path}")


def test_absent_pillow_is_named_with_its_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(BackendError, match=r"Pillow, which is absent; pip install 'purecert\[images\]'"):
        load_dataset(f"folder:{tmp_path}")


def _labels(data: Dataset) -> NDArray[np.int64]:
    assert data.labels is not None
    return data.labels


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
