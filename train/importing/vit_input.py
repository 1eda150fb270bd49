"""What a Hugging Face folder says of a ViT's input, in preprocessor_config.json: taken over, or refused by name."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from purecert.engine.errors import InputError
from purecert.engine.noise.contract import GREY_LEVELS
from purecert.train.models.preprocessing import PreprocessingConfig
from purecert.train.readers.json_files import read_object
from purecert.train.readers.opened import on_one_line
from purecert.train.strict.configuration import build_config

FILE = "preprocessor_config.json"

# The image processors whose defaults, those of _Recorded, stand for what the file leaves out.
_PROCESSORS = ("ViTImageProcessor", "ViTImageProcessorFast", "ViTFeatureExtractor")
# What Pillow numbers so, and what timm calls them.
_RESAMPLES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_SAME_FACTOR = 1e-6  # relative: files hold 1/255 with 16 digits or with 8


@dataclass(frozen=True, kw_only=True, slots=True)
class VitInput:
    """The input that a ViT wants."""

    preprocessing: PreprocessingConfig
    because: str  # where it comes from, in words
    resample: str | None = None  # how images are resized; "none" for not at all, None where nothing says so


@dataclass(frozen=True, kw_only=True, slots=True)
class _Recorded:
    """The entries of preprocessor_config.json, with the defaults of ViTImageProcessor in transformers 5."""

    do_resize: bool = True
    resample: int = 2
    do_rescale: bool = True
    rescale_factor: float = 1 / GREY_LEVELS
    do_normalize: bool = True
    do_convert_rgb: bool = False  # images are of as many channels as the network takes
    do_center_crop: bool = False
    crop_pct: float = 1.0
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]


def read_vit_input(folder: Path, channels: int, image_size: int) -> VitInput:
    """Return the input that a folder's preprocessor_config.json records; without one, that of Google's ViTs.

    Args:
        folder: The folder, or the file of weights alone.
        channels: Of the network's images.
        image_size: Their height and width.

    Raises:
        InputError: The file is damaged, or asks for something else than one resize of the whole image to the network's
            size, one scale of the pixels, and one mean and std for each channel.
    """
    path, halves = folder / FILE, [0.5] * channels
    if not path.is_file():
        wanted = PreprocessingConfig(mean=tuple(halves), std=tuple(halves), size=image_size)
        return VitInput(preprocessing=wanted, because=f"as Google's ViTs, without a {FILE}")
    # null stands for what the processor does by default.
    content = {k: v for k, v in read_object(path, "the preprocessing of a ViT").items() if v is not None}
    known = {name: content[name] for name in _Recorded.__dataclass_fields__ if name in content}
    recorded = build_config(_Recorded, {"image_mean": halves, "image_std": halves} | known, str(path))
    _refuse_others(path, content, recorded)
    _check_size(path, content, recorded, image_size)
    mean, std = _rescaled(path, recorded)
    wanted = build_config(PreprocessingConfig, {"mean": mean, "std": std, "size": image_size}, str(path))
    resample = _RESAMPLES.get(recorded.resample, str(recorded.resample)) if recorded.do_resize else "none"
    return VitInput(preprocessing=wanted, because=f"as {FILE} records", resample=resample)


def _refuse_others(path: Path, content: Mapping[str, Any], recorded: _Recorded) -> None:
    for key in ("image_processor_type", "feature_extractor_type"):
        if content.get(key, _PROCESSORS[0]) not in _PROCESSORS:
            found = on_one_line(content[key])
            raise InputError(
                f"{path}: expected {key} {' or '.join(_PROCESSORS)}, found {found}, whose defaults are others; "
                "remove the file, and give --mean, --std and --resize"
            )
    for key, value in content.items():
        if key.startswith("do_") and key not in _Recorded.__dataclass_fields__ and value is not False:
            raise InputError(
                f"{path}: expected {on_one_line(key)} false, which purecert does not do, found another value"
            )
    if not recorded.do_normalize:
        raise InputError(f"{path}: expected do_normalize true, found another value; write mean 0 and std 1 in it")


def _check_size(path: Path, content: Mapping[str, Any], recorded: _Recorded, wanted: int) -> None:
    """Refuse a file after which the network would see a part of the image, or one of another size."""
    size = _edge(path, "size", content.get("size", wanted))
    if recorded.do_center_crop:
        crop = _edge(path, "crop_size", content.get("crop_size", size))
        if crop != wanted or (recorded.do_resize and size != wanted):
            raise InputError(
                f"{path}: expected whole images of {wanted} pixels, found a center crop of {crop} out of {size}, "
                f"which purecert does not do; write do_center_crop false and size {wanted} in it"
            )
    if recorded.crop_pct != 1:
        raise InputError(
            f"{path}: expected crop_pct 1, found {recorded.crop_pct}; purecert does not crop: write 1 in it"
        )
    if recorded.do_resize and size != wanted:
        raise InputError(f"{path}: expected size {wanted}, as the network's config.json has it, found {size}")


def _edge(path: Path, name: str, value: object) -> int:
    """Return the height and width of a square; images are square here, so that the shortest edge is each of them."""
    edges: Sequence[object] = [value]
    if isinstance(value, Mapping) and set(value) in ({"height", "width"}, {"shortest_edge"}):
        edges = list(value.values())
    if not all(type(edge) is int and edge == edges[0] for edge in edges):
        raise InputError(
            f"{path}: expected {name} as one whole number, or as equal height and width, found another value"
        )
    return int(str(edges[0]))


def _rescaled(path: Path, recorded: _Recorded) -> tuple[list[float], list[float]]:
    """Return mean and std for pixels on the [0, 1] scale; recorded ones follow what the file multiplies pixels by."""
    if not recorded.do_rescale:
        raise InputError(
            f"{path}: expected do_rescale true; false leaves open whether pixels end at 1 or at 255: "
            "write true in it, with rescale_factor 1/255 or 1"
        )
    scale = recorded.rescale_factor * GREY_LEVELS
    if not 0 < scale < math.inf:
        raise InputError(f"{path}: expected a rescale_factor above 0, found {recorded.rescale_factor}")
    if abs(scale - 1) < _SAME_FACTOR:
        return list(recorded.image_mean), list(recorded.image_std)
    return [mean / scale for mean in recorded.image_mean], [std / scale for std in recorded.image_std]
