"""uint8 images and labels by index, from ``name[:split][slice]``."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError
from purecert.engine.images.image_source import Distances, Images, ImageSource, Integers

_EXPECTED = (
    "digits:test, cifar10:test, mnist:test, fashion_mnist:test (or :train), npz:FILE or folder:DIR, "
    "then perhaps a slice like [:100]"
)
_TRAILING_SLICE = re.compile(r"(?P<source>.*)\[(?P<slice>[^\[\]]*)\]", re.DOTALL)
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")

MOVED = "moved_by_rounding"  # of what is kept beside a run; it fixes nothing


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Dataset:
    """The images that were asked for. An index does not depend on the slice, so neither does an image's noise."""

    name: str  # canonical, without slice and without path: it goes into run.json
    indices: Integers  # in the whole split, or as the source numbers its images
    images: Images  # C order
    labels: Integers | None
    classes: int  # labels are below it; 0 where there are none
    class_names: tuple[str, ...]  # empty where unknown
    quantised: bool  # the source held floats; these are their 8-bit roundings
    moved: Distances | None = None  # where quantised: how far, at most, rounding moved each image
    slice: str | None = None  # which of the source's images these are, as ``slice_text`` says it; None where unknown
    class_folders: tuple[str, ...] = ()  # where labels number folders: their names, by label (``class_folders.py``)

    def __len__(self) -> int:
        return len(self.images)

    def label(self, position: int) -> int | None:
        """Return the label of the image at ``position`` here; None where there are no labels."""
        return None if self.labels is None else int(self.labels[position])

    def first(self, count: int) -> "Dataset":
        """Return the first ``count`` images, at most all, as a shorter slice would have named them."""
        return replace(
            self,
            indices=self.indices[:count],
            images=self.images[:count],
            labels=None if self.labels is None else self.labels[:count],
            moved=None if self.moved is None else self.moved[:count],
            slice=None if self.slice is None else _first_of_slice(self.slice, count),
        )

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 over shape, indices, pixels and labels, as 64 hexadecimal digits."""
        digest = hashlib.sha256(b"purecert.dataset/1\n")
        digest.update(np.asarray(self.images.shape, "<i8").tobytes())
        digest.update(self.indices.astype("<i8").tobytes())
        digest.update(self.images.tobytes())
        digest.update(b"unlabelled" if self.labels is None else self.labels.astype("<i8").tobytes())
        return digest.hexdigest()


def moved_record(dataset: Dataset) -> dict[str, object]:
    """Return, as what is kept beside a run, how far rounding to 8 bits moved each image; empty for 8-bit sources."""
    if dataset.moved is None:
        return {}
    pairs = zip(dataset.indices.tolist(), dataset.moved.tolist(), strict=True)
    return {MOVED: [{"index": index, "distance": distance} for index, distance in pairs]}


def load_dataset(spec: str, data_dir: Path | None = None) -> Dataset:
    """Return the images that ``spec`` names; float sources come rounded to 8 bits and are marked ``quantised``.

    Args:
        spec: ``name[:split][slice]``, such as ``digits:test[:100]``; a slice is Python's with a step of at least 1,
            or one position.
        data_dir: Where cifar10, mnist or fashion_mnist lies, directly or in a folder of that name.

    Raises:
        InputError: The spec names no images, or what it names is absent, damaged or of another form.
    """
    without, text = _split(spec)
    source = _open_source(without, data_dir)
    positions = _positions(text, len(source.indices), spec)
    return Dataset(
        # Part of a path, which need not be Unicode text, as a record must be.
        name=source.name.encode("utf-8", "backslashreplace").decode(),
        indices=source.indices[positions],
        images=np.ascontiguousarray(source.read(positions)),
        labels=None if source.labels is None else source.labels[positions],
        classes=source.classes,
        class_names=source.class_names,
        quantised=source.quantised,
        moved=None if source.moved is None else source.moved(positions),
        slice=slice_text(positions, len(source.indices)),
        class_folders=source.class_folders,
    )


def spread_places(images: int, count: int) -> NDArray[np.int64]:
    """Return ``count`` places evenly spread over ``images``, since a data set may be sorted by class.

    Where more are asked for than there are, places come several times.
    """
    return np.arange(count) * images // count


def without_slice(spec: str) -> str:
    """Return ``spec`` without the slice at its end, if there is one; a path may end in brackets too.

    Raises:
        InputError: Both the path as written and that without brackets exist.
    """
    return _split(spec)[0]


def _split(spec: str) -> tuple[str, str]:
    """Return what ``spec`` names and the slice of it."""
    match = _TRAILING_SLICE.fullmatch(spec)
    if match is None:
        return spec, ":"
    kind, _, path = spec.partition(":")
    if kind not in ("npz", "folder") or not Path(path).exists():
        return match["source"], match["slice"]
    if Path(shorter := match["source"].partition(":")[2]).exists():
        raise InputError(
            f"--data {spec}: expected a path or a slice, found both {path} and {shorter}; add [:] to {spec}"
        )
    return spec, ":"


def slice_text(positions: Integers, length: int) -> str:
    """Return which ``positions`` of ``length`` images a slice took: the same text however the slice was written."""
    first, last = int(positions[0]), int(positions[-1])
    step = int(positions[1]) - first if len(positions) > 1 else 1
    return f"[{first}:{last + 1}{f':{step}' if step > 1 else ''}] of {length}"


def _first_of_slice(text: str, count: int) -> str:
    """Return what ``slice_text`` says of the first ``count`` images of the slice ``text``."""
    taken, _, length = text.removeprefix("[").partition("] of ")
    first, _, *step = (int(part) for part in taken.split(":"))
    return slice_text(first + np.arange(count) * (step[0] if step else 1), int(length))


def _open_source(spec: str, data_dir: Path | None) -> ImageSource:
    """Return the images that ``spec`` names, without its slice; a reader is imported when it is asked for."""
    name, _, rest = spec.partition(":")
    match name:
        case "digits":
            from purecert.engine.images.digits import open_digits

            return open_digits(rest)
        case "cifar10":
            from purecert.engine.images.cifar10 import open_cifar10

            return open_cifar10(rest, _folders(name, data_dir))
        case "mnist" | "fashion_mnist":
            from purecert.engine.images.idx_images import open_idx

            return open_idx(name, rest, _folders(name, data_dir))
        case "npz" if rest:
            from purecert.engine.images.npz_images import open_npz

            return open_npz(Path(rest))
        case "folder" if rest:
            from purecert.engine.images.image_folder import open_folder

            return open_folder(Path(rest))
    raise InputError(f"--data: expected {_EXPECTED}; got {spec!r}")


def _folders(name: str, data_dir: Path | None) -> tuple[Path, ...]:
    """Return where the files of ``name`` may lie; a folder of its name goes first, since mnist and fashion_mnist
    share file names.
    """
    if data_dir is None:
        raise InputError(f"--data {name}: expected --data-dir, since {name} is read from disk; say where it lies")
    if not data_dir.is_dir():
        raise InputError(f"--data-dir {data_dir}: expected a folder that holds {name}, found none; is the path right?")
    return data_dir / name, data_dir


def _positions(text: str, length: int, spec: str) -> Integers:
    parts = [part.strip() for part in text.split(":")]
    if not (1 <= len(parts) <= 3 and all(part == "" or _NUMBER.fullmatch(part) for part in parts)) or parts == [""]:
        raise InputError(f"--data {spec}: expected a slice like [:100], [::20] or [7], got [{text}]")
    numbers = [int(part) if part else None for part in parts]
    if len(parts) == 3 and numbers[2] is not None and numbers[2] < 1:
        raise InputError(f"--data {spec}: expected a step of at least 1, got {numbers[2]}; images keep their order")
    chosen = np.arange(length, dtype=np.int64)[_as_slice(numbers)]
    if not len(chosen):
        raise InputError(f"--data {spec}: expected some of {length} images, got none in [{text}]; widen the slice")
    return chosen


def _as_slice(numbers: list[int | None]) -> slice:
    if len(numbers) > 1:
        return slice(*numbers)
    position = numbers[0]
    # [-1] is the last image, whose end is the end, not position 0.
    return slice(position, None if position in (None, -1) else position + 1)
