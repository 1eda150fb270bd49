"""What config.json of a folder says that timm wrote for the hub: the network, its input, and the classes' names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from purecert.engine.errors import InputError
from purecert.train.readers.json_files import read_object
from purecert.train.readers.opened import on_one_line

_OPTIONS = {"num_classes", "in_chans", "global_pool", "img_size"}  # others may fetch files, load them or run code
_MOST_CHANNELS, _MOST_PIXELS = 64, 4096
_CROP = 0.875  # where none is recorded, as timm has it


@dataclass(frozen=True, kw_only=True, slots=True)
class TimmFolder:
    """A folder's config.json, checked; ``None`` is what it leaves to timm or to the weights."""

    where: Path
    name: str  # of the model, as timm lists it
    classes: int | None
    channels: int | None
    global_pool: str | None
    img_size: tuple[int, int] | None
    mean: tuple[float, ...]  # of the input, on the [0, 1] scale
    std: tuple[float, ...]
    size: int  # pixels of a side
    interpolation: str
    crop: str  # in words; empty for none
    label_names: tuple[str, ...]

    def network(self) -> dict[str, Any]:
        """Return the fields of the network that it says, apart from classes and channels."""
        return {"name": self.name, "global_pool": self.global_pool, "img_size": self.img_size}

    def check(self, classes: int, channels: int) -> None:
        """Refuse weights of other numbers of classes or channels than it says.

        Raises:
            InputError: They are.
        """
        for what, told, found in (("num_classes", self.classes, classes), ("in_chans", self.channels, channels)):
            if told not in (None, found):
                raise InputError(f"{self.where}: expected weights of {what} {told}, found those of {found}")


def read_folder(folder: Path) -> TimmFolder:
    """Return what config.json of ``folder`` says.

    Raises:
        InputError: It is missing, no such configuration, or asks for what purecert does not build.
    """
    where = folder / "config.json"
    content = read_object(where, "the configuration of a model of timm")
    name = content.get("architecture")
    _expect(isinstance(name, str), where, "architecture, a name that timm lists", name)
    told = content.get("pretrained_cfg", content)  # old files have it beside the architecture
    _expect(isinstance(told, dict), where, "an object under pretrained_cfg", told)
    offset = told.get("label_offset")
    _expect(not offset, where, "no label_offset, whose classes timm leaves out", offset)
    options = _options(where, content)
    size = _image_size(where, options.get("img_size"))
    mean, std = (_numbers(where, told, entry) for entry in ("mean", "std"))
    interpolation = told.get("interpolation")
    _expect(isinstance(interpolation, str), where, "interpolation of the input, a word", interpolation)
    return TimmFolder(
        where=where,
        name=str(name),
        classes=_whole(where, "num_classes", content, options, told),
        channels=_whole(where, "in_chans", options),
        global_pool=_word(where, "global_pool", options),
        img_size=size,
        mean=mean,
        std=std,
        size=_input_size(where, told, len(mean)) if size is None else size[0],
        interpolation=str(interpolation),
        crop=_crop(where, told),
        label_names=_names(where, content, told),
    )


def _expect(condition: bool, where: Path, wanted: str, came: object) -> None:
    if not condition:
        raise InputError(f"{where}: expected {wanted}, found {on_one_line(came)}")


def _options(where: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    options = content.get("model_args") or {}
    _expect(isinstance(options, dict), where, "an object under model_args", options)
    if strange := sorted(set(options) - _OPTIONS):
        raise InputError(
            f"{where}: expected a model of timm as it is listed, found model_args {on_one_line(', '.join(strange))}; "
            "build it in Python with them, and export it as python:FILE.py:NAME"
        )
    return dict(options)


def _whole(where: Path, entry: str, *places: Mapping[str, Any]) -> int | None:
    """Return a whole number from the first place that has it."""
    value = next((place[entry] for place in places if place.get(entry) is not None), None)
    _expect(value is None or type(value) is int, where, f"a whole number as {entry}", value)
    return value


def _word(where: Path, entry: str, place: Mapping[str, Any]) -> str | None:
    value = place.get(entry)
    _expect(value is None or (isinstance(value, str) and value.isidentifier()), where, f"a word as {entry}", value)
    return value


def _image_size(where: Path, value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    sides = [value, value] if type(value) is int else value
    is_size = isinstance(sides, list) and len(sides) == 2 and all(_is_side(side) for side in sides)
    _expect(is_size and sides[0] == sides[1], where, f"img_size, at most {_MOST_PIXELS} pixels square", value)
    return sides[0], sides[1]


def _input_size(where: Path, told: Mapping[str, Any], channels: int) -> int:
    value: Any = told.get("input_size")
    is_size = isinstance(value, list) and len(value) == 3 and all(_is_side(side) for side in value)
    if not is_size or value[1] != value[2] or value[0] != channels:
        raise InputError(
            f"{where}: expected input_size of {channels} channels, as mean has, height and as much width, of at most "
            f"{_MOST_PIXELS} pixels, found {value if is_size else 'another or none'}"
        )
    return int(value[1])


def _is_side(value: object) -> bool:
    return type(value) is int and 1 <= value <= _MOST_PIXELS


def _numbers(where: Path, told: Mapping[str, Any], entry: str) -> tuple[float, ...]:
    value: Any = told.get(entry)
    is_list = isinstance(value, list) and 1 <= len(value) <= _MOST_CHANNELS
    _expect(is_list and all(type(each) in (int, float) for each in value), where, f"{entry} of each channel", value)
    return tuple(value)


def _crop(where: Path, told: Mapping[str, Any]) -> str:
    share: Any = told.get("crop_pct", _CROP)
    mode = told.get("crop_mode", "center")
    is_share = type(share) in (int, float) and 0 < share <= 1
    _expect(is_share, where, "crop_pct in (0, 1]", share)
    _expect(isinstance(mode, str), where, "crop_mode, a word", mode)
    return "" if share == 1 and mode == "center" else f"crop_pct {share:g}, {on_one_line(mode)}"


def _names(where: Path, content: Mapping[str, Any], told: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes' names in their order; none where they are not named one by one from 0."""
    places = (place.get(entry) for entry in ("label_names", "labels") for place in (content, told))
    named: Any = next(filter(None, places), [])
    if isinstance(named, dict):
        named = [named.get(str(place)) for place in range(len(named))]
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        return ()
    strange = next((each for each in named if not each.isprintable() or not each.strip()), None)
    _expect(strange is None, where, "label_names of printable text", strange)
    return tuple(named)
