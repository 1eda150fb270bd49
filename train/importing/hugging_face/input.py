"""What a Hugging Face folder says of a network's input, in preprocessor_config.json: taken over, or refused by name."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from purecert.engine.errors import InputError
from purecert.engine.noise.contract import GREY_LEVELS
from purecert.train.models.preprocessing import PreprocessingConfig
from purecert.train.readers.json_files import read_object
from purecert.train.readers.opened import on_one_line
from purecert.train.strict.configuration import build_config

FILE = "preprocessor_config.json"
NESTED = "processor_config.json"  # the library prefers what it holds under image_processor
_LARGEST = 2**14  # pixels of an edge

# What Pillow numbers so, and what timm calls them.
_RESAMPLES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_SAME_FACTOR = 1e-6  # relative: files hold 1/255 with 16 digits or with 8
_WITHOUT_CROP = 384  # from which size on ConvNeXt's processor takes whole images
_LEVIT_GROWTH = 256 / 224
_LEAST_SHARE = 0.01
_TYPES = ("image_processor_type", "feature_extractor_type")
# What changes no pixel of a square image whose channels come first; so does what begins with an underscore.
_HARMLESS = (
    *_TYPES,
    *("processor_class", "data_format", "input_data_format", "device", "return_tensors"),
    *("default_to_square", "disable_grouping"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Processor:
    """How one image processor of the library goes from ``size`` to what the network sees."""

    grows: Literal["no", "convnext", "levit", "poolformer"] = "no"  # to what the image is resized for a crop
    crops: bool = True  # the middle, where do_center_crop says so


_VIT = "ViTImageProcessor"
# Crops of these were ignored in transformers 4, and are done in 5.
_WHOLE = _Processor(crops=False)
_PROCESSORS: Mapping[str, _Processor] = {
    _VIT: _WHOLE,
    "SiglipImageProcessor": _WHOLE,
    "PvtImageProcessor": _WHOLE,
    "BeitImageProcessor": _Processor(),
    "BitImageProcessor": _Processor(),
    "CLIPImageProcessor": _Processor(),
    "DeiTImageProcessor": _Processor(),
    "MobileNetV1ImageProcessor": _Processor(),
    "MobileNetV2ImageProcessor": _Processor(),
    "ConvNextImageProcessor": _Processor(grows="convnext", crops=False),
    "LevitImageProcessor": _Processor(grows="levit"),
    "PoolFormerImageProcessor": _Processor(grows="poolformer"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class HfInput:
    """The input that a network wants."""

    preprocessing: PreprocessingConfig
    because: str  # where it comes from, in words
    resample: str | None = None  # how images are resized; "none" for not at all, None where nothing says so


@dataclass(frozen=True, kw_only=True, slots=True)
class _Recorded:
    """The entries of preprocessor_config.json; the defaults are those that all processors share."""

    do_resize: bool = True
    resample: int
    do_rescale: bool = True
    rescale_factor: float = 1 / GREY_LEVELS
    do_normalize: bool = True
    do_convert_rgb: bool = False  # images are of as many channels as the network takes
    do_center_crop: bool
    crop_pct: float = 1.0
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]


# What ViTImageProcessor fills in, in every version. What others do has changed: their files must say it themselves.
_VIT_DEFAULTS: Mapping[str, Any] = {"resample": 2, "do_center_crop": False}


def read_hf_input(folder: Path, channels: int, image_size: int | None) -> HfInput | None:
    """Return the input that a folder's preprocessor_config.json records; None without one.

    Args:
        folder: The folder, or the file of weights alone.
        channels: Of the network's images.
        image_size: Height and width of what the network sees, where it takes one size only.

    Raises:
        InputError: The file is damaged, or asks for something else than one resize of the whole image, a crop of its
            middle, one scale of the pixels, and one mean and std for each channel.
    """
    path = folder / FILE
    _refuse_nested(folder / NESTED)
    if not os.path.lexists(path):
        return None
    # null stands for what the processor does by default.
    content = {k: v for k, v in read_object(path, "the preprocessing of a network").items() if v is not None}
    name = _processor_name(path, content, folder / "config.json")
    _refuse_others(path, content)
    recorded = build_config(_Recorded, _known(path, content, channels, name), str(path))
    size, crop = _places(path, content, recorded, _PROCESSORS[name], image_size)
    mean, std = _rescaled(path, recorded)
    fields = {"mean": mean, "std": std, "size": size, "crop": crop}
    wanted = build_config(PreprocessingConfig, fields, str(path))
    resample = _RESAMPLES.get(recorded.resample, str(recorded.resample)) if recorded.do_resize else "none"
    return HfInput(preprocessing=wanted, because=f"as {FILE} records", resample=resample)


def google_vit_input(channels: int, image_size: int) -> HfInput:
    """Return the input of Google's ViTs, for a ViT without a preprocessor_config.json."""
    halves = (0.5,) * channels
    wanted = PreprocessingConfig(mean=halves, std=halves, size=image_size)
    return HfInput(preprocessing=wanted, because=f"as Google's ViTs, without a {FILE}")


def _refuse_nested(path: Path) -> None:
    if path.is_file() and "image_processor" in read_object(path, "the configuration of a processor"):
        raise InputError(
            f"{path}: expected no image_processor in it, found one, which the library prefers to {FILE}; "
            f"write its entries into {FILE} and remove it"
        )


def _processor_name(path: Path, content: Mapping[str, Any], network: Path) -> str:
    """Return which processor the file names; without a name, ViT's, if ``network``, its config.json, is a ViT's."""
    if not content.keys() & set(_TYPES):
        model = read_object(network, "the configuration of a network").get("model_type") if network.is_file() else "vit"
        if model != "vit":
            raise InputError(f"{path}: expected {_TYPES[0]} in it, found none; write in it which processor it is of")
    for key in _TYPES:
        found = content.get(key, _VIT)
        name = found.removesuffix("Fast").removesuffix("Pil") if isinstance(found, str) else ""
        name = name.replace("FeatureExtractor", "ImageProcessor")
        if name not in _PROCESSORS:
            raise InputError(
                f"{path}: expected {key} {' or '.join(_PROCESSORS)}, found {on_one_line(found)}, which does other "
                "things; remove the file, and give --mean, --std and --resize"
            )
        if key in content:
            return name
    return _VIT


def _known(path: Path, content: Mapping[str, Any], channels: int, processor: str) -> dict[str, Any]:
    """Return the entries of ``_Recorded`` that the file has, and for ViTs those that it leaves out."""
    halves = [0.5] * channels
    defaults: dict[str, Any] = {} if _PROCESSORS[processor].crops else {"do_center_crop": False}
    if processor == _VIT:
        defaults |= {**_VIT_DEFAULTS, "image_mean": halves, "image_std": halves}
    known = defaults | {name: content[name] for name in _Recorded.__dataclass_fields__ if name in content}
    if not known.get("do_resize", True):
        known.setdefault("resample", 2)  # of a resize that is not done
    if missing := [name for name in ("resample", "image_mean", "image_std", "do_center_crop") if name not in known]:
        raise InputError(
            f"{path}: expected {missing[0]} in it, found none; versions of the library fill in different values: "
            "write in it what the network was trained with"
        )
    for name in ("image_mean", "image_std"):  # one number stands for every channel
        if isinstance(known[name], int | float):
            known[name] = [known[name]] * channels
        if isinstance(known[name], list) and len(known[name]) != channels:
            raise InputError(
                f"{path}: expected {name} of {channels} channels, as the network takes, found {len(known[name])} values"
            )
    return known


def _refuse_others(path: Path, content: Mapping[str, Any]) -> None:
    known = (*_Recorded.__dataclass_fields__, *_HARMLESS, "size", "crop_size")
    for key, value in content.items():
        if key in known or key.startswith("_") or value is False:
            continue
        name = on_one_line(key)
        if key.startswith("do_"):
            raise InputError(f"{path}: expected {name} false, which purecert does not do, found another value")
        raise InputError(f"{path}: expected entries that purecert knows, found {name}; remove it if it changes nothing")
    if content.get("do_normalize") is False:
        raise InputError(f"{path}: expected do_normalize true, found another value; write mean 0 and std 1 in it")


def _places(
    path: Path, content: Mapping[str, Any], recorded: _Recorded, processor: _Processor, wanted: int | None
) -> tuple[int | None, tuple[int, int] | None]:
    """Return to what the whole image is resized, and which rows and columns of that are seen; None for all.

    Refuses a file after which the network would see images of another size than it takes.
    """
    resized, seen = _resized(path, content, recorded, processor, wanted)
    if recorded.do_center_crop:
        seen = _cropped(path, content, recorded, processor, seen, wanted)
    if wanted is not None and seen not in (None, wanted):
        raise InputError(f"{path}: expected size {wanted}, as the network's config.json has it, found {seen}")
    if resized is None or seen is None or seen == resized:
        return resized, None
    if seen > resized:
        raise InputError(f"{path}: expected crop_size of at most {resized}, the size, found {seen}; no image is padded")
    return resized, ((resized - seen) // 2, seen)


def _resized(
    path: Path, content: Mapping[str, Any], recorded: _Recorded, processor: _Processor, wanted: int | None
) -> tuple[int | None, int | None]:
    """Return to what an image is resized, and how much of that is seen without a further crop."""
    share = recorded.crop_pct
    if processor.grows in ("no", "levit") and share != 1:
        raise InputError(f"{path}: expected crop_pct 1, found {share}; purecert does not crop: write 1 in it")
    if not _LEAST_SHARE <= share <= 1:
        raise InputError(f"{path}: expected crop_pct in [{_LEAST_SHARE}, 1], found {share}")
    if not recorded.do_resize:
        return wanted, wanted
    if processor.grows in ("convnext", "poolformer") and "crop_pct" not in content:
        raise InputError(f"{path}: expected crop_pct in it, found none; write in it what the network was trained with")
    if "size" not in content and wanted is None:
        raise InputError(f"{path}: expected size in it, found none; write in it what the network was trained with")
    edge = _edge(path, "size", size := content.get("size", wanted))
    is_exact = (isinstance(size, Mapping) and "height" in size) or content.get("default_to_square") is True
    if processor.grows == "levit" and is_exact:  # which the library does not grow
        raise InputError(f"{path}: expected size as shortest_edge, found height and width")
    if processor.grows == "convnext" and edge < _WITHOUT_CROP:
        return int(edge / share), edge
    grown = {"levit": int(_LEVIT_GROWTH * edge), "poolformer": int(edge / share)}.get(processor.grows, edge)
    return grown, grown


def _cropped(
    path: Path,
    content: Mapping[str, Any],
    recorded: _Recorded,
    processor: _Processor,
    seen: int | None,
    wanted: int | None,
) -> int:
    """Return how much is seen after do_center_crop."""
    if "crop_size" not in content and processor.crops:
        raise InputError(f"{path}: expected crop_size in it, found none; write in it what the network was trained with")
    crop = _edge(path, "crop_size", content.get("crop_size", seen))
    if crop != seen and not (processor.crops and recorded.do_resize):
        whole = wanted or crop
        raise InputError(
            f"{path}: expected whole images of {whole} pixels, found a center crop of {crop} out of {seen or 'any'}, "
            f"which purecert does not do for this processor; write do_center_crop false and size {whole} in it"
        )
    return crop


def _edge(path: Path, name: str, value: object) -> int:
    """Return the height and width of a square; images are square here, so that the shortest edge is each of them."""
    edges: Sequence[object] = [value]
    if isinstance(value, Mapping) and set(value) in ({"height", "width"}, {"shortest_edge"}):
        edges = list(value.values())
    if not all(type(edge) is int and edge == edges[0] and edge <= _LARGEST for edge in edges):
        raise InputError(
            f"{path}: expected {name} as one whole number of at most {_LARGEST}, or as equal height and width, "
            "found another value"
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
