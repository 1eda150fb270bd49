"""Folders of classes are matched to the plan by their names, and rank decides only where nothing else can."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from purecert.engine.errors import InputError
from purecert.engine.images.class_folders import labelled_as, labelled_for, named_as, without_mark
from purecert.engine.images.datasets import Dataset, load_dataset
from support.image_data import labels_of

_DIGITS = tuple("0123456789")
_WORDS = ("zero", "one", "two")


def _folders(root: Path, *names: str) -> Dataset:
    for name in names:
        (root / name).mkdir()
        PIL.Image.fromarray(np.zeros((4, 4), np.uint8)).save(root / name / "a.png")
    return load_dataset(f"folder:{root}")


@pytest.mark.parametrize(
    ("folders", "classes", "class_names", "labels"),
    [
        (("3", "8"), 10, _DIGITS, [3, 8]),
        (("3", "8"), 10, (), [3, 8]),
        (("8", "10", "9"), 11, (), [10, 8, 9]),  # in the order of the names as text
        (("003", "1"), 10, tuple("abcdefghij"), [3, 1]),
        (("dog",), 3, ("crane", "dog", "crane"), [1]),
        (("0", "2"), 3, ("crane", "dog", "crane"), [0, 2]),
        (("3",), 2, ("8", "3"), [1]),
        (("two", "zero"), 3, _WORDS, [2, 0]),
        (("cat", "dog"), 2, (), [0, 1]),
    ],
)
def test_a_folder_is_the_class_that_its_name_says(
    folders: tuple[str, ...], classes: int, class_names: tuple[str, ...], labels: list[int], tmp_path: Path
) -> None:
    data = labelled_for(_folders(tmp_path, *folders), classes, class_names)
    assert labels_of(data).tolist() == labels
    assert (data.classes, data.class_folders) == (classes, ())
    assert labelled_for(data, classes, class_names) is data


def test_rank_is_said_and_marked_in_the_name_that_a_run_records(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = _folders(tmp_path, "cat", "dog")
    data = labelled_for(loaded, 2, ())
    assert "alphabetical order: 0 is cat, 1 is dog" in caplog.text
    assert data.name == f"folder:{tmp_path.name}, classes by alphabet"
    # A verified run keeps its name: with the mark, or without where it is of an earlier version.
    for name in (data.name, loaded.name):
        again = labelled_as(loaded, 2, (), name=name, fingerprint=data.fingerprint, data_classes=2)
        assert (again.name, again.fingerprint) == (name, data.fingerprint)
        assert named_as(data, name).name == name  # as where it is resumed
    assert named_as(data, "folder:other").name == data.name
    assert {without_mark(name) for name in (data.name, loaded.name)} == {loaded.name}


def test_a_name_breaks_and_colours_no_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labelled_for(_folders(tmp_path, "a\nerror: forged", "\x1b[31mb"), 2, ())
    (line,) = (record.getMessage() for record in caplog.records)
    assert line.isprintable()
    assert r"0 is \x1b[31mb, 1 is a\nerror: forged" in line
    with pytest.raises(InputError) as caught:
        labelled_for(load_dataset(f"folder:{tmp_path}"), 3, ())
    assert str(caught.value).isprintable()


def test_names_leave_no_mark(tmp_path: Path) -> None:
    assert labelled_for(_folders(tmp_path, "3", "8"), 10, ()).name == f"folder:{tmp_path.name}"


@pytest.mark.parametrize(
    ("folders", "classes", "class_names", "words"),
    [
        (
            ("zero", "one"),
            10,
            _DIGITS,
            r"names of the plan's classes \(0, 1, 2, 3, 4, \.\.\.\).*2, among them one, zero",
        ),
        (("cat", "dog"), 3, (), "folders that are 3 in number, or whole numbers below 3, found 2"),
        (("3", "12"), 10, (), "folders below 10, the plan's classes: 12"),
        (("1", "01"), 10, (), "whole numbers below 10, found 2"),
        (("cat", "1"), 2, ("cat", "dog"), "among them 1; rename or move"),
        (("crane", "dog"), 3, ("crane", "dog", "crane"), "found crane, which the plan calls several of its classes"),
        (
            _DIGITS,
            10,
            tuple(map(str, range(1, 11))),
            r"classes \(1, 2, 3, 4, 5, \.\.\.\).*found 0; rename or move",
        ),
        (("0", "1"), 2, ("3", "8"), r"classes \(3, 8\), since a number is the name of another class there, found 0, 1"),
        (("1", "3"), 4, ("8", "3", "x", "y"), "name of another class there, found 1; rename or move"),
    ],
)
def test_folders_of_other_classes_are_refused(
    folders: tuple[str, ...], classes: int, class_names: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        labelled_for(_folders(tmp_path, *folders), classes, class_names)


def test_other_labels_stay_as_they_are() -> None:
    data = load_dataset("digits:test[:3]")
    assert labelled_for(data, 10, ("other",) * 10) is data
