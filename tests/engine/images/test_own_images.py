"""Images of the user's own, in an npz file or a folder: round trips, exact rounding, and every other form."""

import io
import pickle
import struct
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from purecert.engine.errors import BackendError, InputError
from purecert.engine.images.datasets import load_dataset
from support.image_data import TouchWhenLoaded, labels_of

# npz


def test_npz_keeps_its_own_indices_through_a_slice(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (6, 3, 4, 5), np.uint8)
    np.savez(tmp_path / "own.npz", images=images, labels=np.array([4, 0, 1, 2, 3, 1], np.int32), idx=np.arange(6) * 20)
    data = load_dataset(f"npz:{tmp_path}/own.npz[1::2]")
    assert data.indices.tolist() == [20, 60, 100]
    assert labels_of(data).tolist() == [0, 2, 1]
    assert data.classes == 5  # of the whole file, whatever the slice
    assert data.name == "npz:own.npz"
    np.testing.assert_array_equal(data.images, images[1::2])


def test_npz_of_grey_images_needs_no_channel_and_nolabels_of(tmp_path: Path) -> None:
    np.savez(tmp_path / "grey.npz", x=np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    data = load_dataset(f"npz:{tmp_path}/grey.npz")
    assert data.images.shape == (2, 1, 3, 4)
    assert (data.labels, data.classes, data.quantised) == (None, 0, False)


@settings(deadline=None)
@given(values=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30), kind=st.sampled_from(["<f2", "<f4"]))
def test_floats_round_to_the_nearest_byte(
    values: list[float], kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("floats") / "floats.npz"
    stored = np.array(values, kind).reshape(1, 1, 1, -1)
    np.savez(path, x=stored)
    data = load_dataset(f"npz:{path}")
    # In fractions, so without an error of its own; no float but 0.5 lies half way between two bytes.
    assert data.images.ravel().tolist() == [round(Fraction(float(value)) * 255) for value in stored.ravel()]
    assert data.quantised


def test_one_half_rounds_to_the_even_byte(tmp_path: Path) -> None:
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
    hostile = np.array([TouchWhenLoaded(tmp_path / "marker")], dtype=object)
    np.savez(tmp_path / "object.npz", x=hostile)
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(TouchWhenLoaded(tmp_path / "marker")))
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
    assert labels_of(data).tolist() == [0, 1, 1]
    assert (data.class_names, data.classes, data.name) == (("cat", "dog"), 2, f"folder:{tmp_path.name}")
    assert load_dataset(f"folder:{tmp_path}[1:]").indices.tolist() == [1, 2]


def test_flat_folder_has_nolabels_of(tmp_path: Path) -> None:
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


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_sixteen_bits_of_colour_are_not_cut_to_eight(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)  # 2 x 1, 16 bits, RGB
    pixels = zlib.compress(b"\0" + bytes(range(12)))
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", pixels), _chunk(b"IEND", b""))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with pytest.raises(InputError, match=r"a\.png: expected 8 bits per channel, found 16; convert it"):
        load_dataset(f"folder:{tmp_path}")


@pytest.mark.parametrize("exif", [b"MM\0*\0\0\0\x08\0", b"MM\0*\0\0\0\x08\0\x09\1", b"neither end first"])
def test_damage_in_exif_is_said_and_harms_no_pixel(
    exif: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(load_dataset(f"folder:{tmp_path}").images[0, 0], pixels)
    assert f"EXIF is damaged in 1 of 1 images, {tmp_path / 'a.png'} first" in caplog.text


def test_what_exif_says_to_turn_is_said_and_not_turned(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name, orientation in (("a", 1), ("b", 6), ("c", 3)):
        image = PIL.Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        image.save(tmp_path / f"{name}.png", exif=exif)
    data = load_dataset(f"folder:{tmp_path}")
    assert data.images.shape == (3, 1, 4, 6)
    assert np.array_equal(data.images[1], data.images[0])
    assert f"EXIF says to turn 2 of 3 images, {tmp_path / 'b.png'} first" in caplog.text


@pytest.mark.parametrize("keys", [("x_test", "y_test"), ("test_images", "test_labels")])
def test_keys_of_other_archives_are_listed(keys: tuple[str, str], tmp_path: Path) -> None:
    """As Keras and MedMNIST name them."""
    np.savez(tmp_path / "other.npz", **dict.fromkeys(keys, _PIXELS))
    with pytest.raises(InputError, match=rf"found \['{keys[0]}', '{keys[1]}'\]; save them with numpy.savez\(FILE, x="):
        load_dataset(f"npz:{tmp_path}/other.npz")


def test_a_path_that_ends_in_brackets_is_a_path(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=_PIXELS)
    (tmp_path / "own.npz").rename(tmp_path / "own[1]")
    assert len(load_dataset(f"npz:{tmp_path}/own[1]")) == 2
    assert len(load_dataset(f"npz:{tmp_path}/own[1][:1]")) == 1
    (tmp_path / "own").write_bytes((tmp_path / "own[1]").read_bytes())
    with pytest.raises(InputError, match=r"expected a path or a slice, found both .*; add \[:\] to"):
        load_dataset(f"npz:{tmp_path}/own[1]")
    assert len(load_dataset(f"npz:{tmp_path}/own[1][:]")) == 2
    assert load_dataset(f"npz:{tmp_path}/own[0]").indices.tolist() == [0]


def test_a_name_that_is_no_unicode_text_can_be_recorded(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=_PIXELS)
    odd = tmp_path / "own\udcff.npz"
    (tmp_path / "own.npz").rename(odd)
    assert load_dataset(f"npz:{odd}").name == r"npz:own\udcff.npz"
