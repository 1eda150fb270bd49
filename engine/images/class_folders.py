"""Which class of the plan a folder of images is: by its name, never by its rank where a name says it."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from purecert.engine.errors import InputError, printable
from purecert.engine.images.datasets import Dataset

_log = logging.getLogger("purecert")
_SHOWN = 5
_BY_ALPHABET = ", classes by alphabet"  # after the data's name, so that run.json and every report bear the mark


def labelled_for(dataset: Dataset, classes: int, class_names: Sequence[str]) -> Dataset:
    """Return ``dataset`` with labels that are the plan's, where it names its classes by folders.

    Folders that bear the plan's class names are those classes, and folders of whole numbers are the classes of these
    numbers, unless the plan gives a number as the name of another class. Without class names in the plan, as many
    folders as classes are taken in alphabetical order, as torchvision's ImageFolder does. A warning and the data's name
    say so.

    Args:
        dataset: Images, perhaps in a folder a class.
        classes: Of the plan.
        class_names: Of the plan; empty where it has none.

    Raises:
        InputError: A folder is none of the plan's classes, or may be several.
    """
    if not dataset.class_folders:
        return dataset
    folders, mark = dataset.class_folders, ""
    if set(folders) <= set(class_names):
        numbers = _named(dataset, class_names)
    elif whole := whole_numbers(folders):
        numbers = whole
        _check_numbers(dataset, whole, classes, class_names)
    elif class_names or len(folders) != classes:
        raise InputError(_mismatch(dataset, classes, class_names))
    else:
        numbers, mark = list(range(classes)), _BY_ALPHABET
        _log.warning(
            "%s: the plan has no class names, so its classes are taken to be the folders in alphabetical order: 0 is "
            "%s, %d is %s; name the folders by numbers if that is wrong",
            *(printable(dataset.name), printable(folders[0]), classes - 1, printable(folders[-1])),
        )
    assert dataset.labels is not None
    labels = np.array(numbers, np.int64)[dataset.labels]
    return replace(dataset, name=dataset.name + mark, labels=labels, classes=classes, class_folders=())


def labelled_as(
    dataset: Dataset, classes: int, class_names: Sequence[str], *, name: str, fingerprint: str, data_classes: int
) -> Dataset:
    """Return ``dataset`` with the labels that a run had of it, where it is the run's: older ones numbered all folders.

    Args:
        dataset: As loaded.
        classes: Of the plan.
        class_names: Of the plan; empty where it has none.
        name: Of the run's data.
        fingerprint: Of the run's images.
        data_classes: How many classes the run's record says that they have.

    Raises:
        InputError: As ``labelled_for``.
    """
    is_as_loaded = (dataset.fingerprint, dataset.classes) == (fingerprint, data_classes)
    is_marked = name.endswith(_BY_ALPHABET)
    return dataset if is_as_loaded and not is_marked else labelled_for(dataset, classes, class_names)


def named_as(dataset: Dataset, name: str) -> Dataset:
    """Return ``dataset`` under the ``name`` of the run that it continues, which an earlier version gave it unmarked."""
    return replace(dataset, name=name) if dataset.name == name + _BY_ALPHABET else dataset


def without_mark(name: str) -> str:
    """Return which data a name is of, however its classes were told."""
    return name.removesuffix(_BY_ALPHABET)


def whole_numbers(names: Sequence[str]) -> list[int] | None:
    """Return the numbers that ``names`` are, if each is another whole number; else None."""
    if not all(name.isascii() and name.isdigit() and len(name) <= 9 for name in names):
        return None
    numbers = [int(name) for name in names]
    return numbers if len(set(numbers)) == len(numbers) else None


def _named(dataset: Dataset, class_names: Sequence[str]) -> list[int]:
    """Return which class each folder is by its name, refusing a name of several classes."""
    places = list(class_names)
    if repeated := [name for name in dataset.class_folders if places.count(name) > 1]:
        raise InputError(
            f"{dataset.name}: expected folders of one class each, found {_some(repeated)}, which the plan calls "
            "several of its classes; name all folders by the classes' numbers"
        )
    return [places.index(name) for name in dataset.class_folders]


def _check_numbers(dataset: Dataset, numbers: Sequence[int], classes: int, class_names: Sequence[str]) -> None:
    """Refuse numbers that are no class of the plan, or that the plan's names may mean otherwise."""
    folders = dataset.class_folders
    if strange := [name for name, number in zip(folders, numbers, strict=True) if number >= classes]:
        raise InputError(f"{dataset.name}: expected folders below {classes}, the plan's classes: {_some(strange)}")
    if any(whole_numbers([name]) not in (None, [place]) for place, name in enumerate(class_names)):
        strange = [name for name in folders if name not in class_names]
        raise InputError(
            f"{dataset.name}: expected folders that are the names of the plan's classes ({_some(class_names)}), since "
            f"a number is the name of another class there, found {_some(strange)}; rename or move them"
        )


def _mismatch(dataset: Dataset, classes: int, class_names: Sequence[str]) -> str:
    strange = [name for name in dataset.class_folders if name not in set(class_names)]
    known = f"the names of the plan's classes ({_some(class_names)})" if class_names else f"{classes} in number"
    return (
        f"{dataset.name}: expected folders that are {known}, or whole numbers below {classes}, found "
        f"{len(dataset.class_folders)}, among them {_some(strange)}; rename or move them"
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
