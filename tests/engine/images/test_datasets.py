"""The grammar of a data set's name, slices, the fingerprint, and the embedded digits."""

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purecert.engine.errors import InputError
from purecert.engine.images.datasets import load_dataset
from support.image_data import labels_of

_bounds = st.none() | st.integers(-600, 600)
_WHOLE = load_dataset("digits:test")


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


@settings(deadline=None)
@given(start=_bounds, stop=_bounds, step=st.none() | st.integers(1, 700))
def test_slice_picks_what_python_picks_and_keeps_the_index(
    start: int | None, stop: int | None, step: int | None
) -> None:
    text = ":".join("" if part is None else str(part) for part in (start, stop, step))
    expected = np.arange(500)[start:stop:step]
    if not len(expected):
        with pytest.raises(InputError, match="expected some of 500 images, got none"):
            load_dataset(f"digits:test[{text}]")
        return
    part = load_dataset(f"digits:test[{text}]")
    np.testing.assert_array_equal(part.indices, expected)
    np.testing.assert_array_equal(part.images, _WHOLE.images[expected])
    np.testing.assert_array_equal(part.labels, labels_of(_WHOLE)[expected])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "[0:500] of 500"),
        ("[:100]", "[0:100] of 500"),
        ("[-3:]", "[497:500] of 500"),
        ("[::20]", "[0:481:20] of 500"),
        ("[0:481:20]", "[0:481:20] of 500"),
        ("[7]", "[7:8] of 500"),
    ],
)
def test_a_slice_is_said_in_one_way_however_it_was_written(text: str, said: str) -> None:
    assert load_dataset(f"digits:test{text}").slice == said


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


def test_fingerprint_is_of_shape_indices_pixels_andlabels_of() -> None:
    data = load_dataset("digits:test[:8]")
    changed_pixel, changed_label = data.images.copy(), labels_of(data).copy()
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
    np.savez(tmp_path / "copy.npz", x=data.images, y=labels_of(data), idx=data.indices)
    assert load_dataset(f"npz:{tmp_path}/copy.npz").fingerprint == data.fingerprint
