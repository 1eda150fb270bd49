"""Files of rRCM's official code: folders of a pre-training, and fine-tuned classifiers. Both are read strictly."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.importing.choices import Note, silent
from purecert.train.importing.classifier import Classifier
from purecert.train.importing.plain_weights import read_weights, told_names
from purecert.train.models.preprocessing import PreprocessingConfig
from purecert.train.networks.rrcm.classifier import RrcmClassifier, RrcmClassifierConfig
from purecert.train.networks.rrcm.vit import RrcmVit, RrcmVitConfig
from purecert.train.strict.configuration import build_config
from purecert.train.strict.state import build_empty, load_strictly

Pretrained = Literal["nnet_ema", "nnet", "target_model"]

_BASE, _HEAD = "base_model.", "linear_head."
_MOST_POINTS = 100_000
_HEAD_WIDTH = 64  # of an attention head in every published configuration
_NORMALISES = {32: False, 224: True}  # published image sizes: whether the final norm stands before the head
_READ_AXES = {  # which weights show the shape, and of how many axes they must be
    "cls_token": 3,
    "pos_embed": 3,
    "patch_embed.proj.weight": 4,
    "projection_head.0.weight": 2,
    "projection_head.6.weight": 2,
    "blocks.0.mlp.fc1.weight": 2,
}


def read_rrcm_pretrained(
    folder: Path, which: Pretrained = "nnet_ema", *, heads: int | None = None, note: Note = silent
) -> RrcmVit:
    """Return one network of a pre-training folder STEP.ckpt, in eval mode.

    Args:
        folder: Holds ``nnet.pth``, ``nnet_ema.pth`` and ``target_model.pth``.
        which: The averaged network, the trained one, or the one that contrastive terms looked at.
        heads: Of the attention; None: as many of width 64 as the tokens' width holds, as published.
        note: Takes a line for each choice that no weight shows.

    Raises:
        InputError: The file is missing, unreadable or hostile, or a weight is missing, left over or misshapen.
    """
    path = folder / f"{which}.pth"
    if not path.is_file():
        raise InputError(
            f"{folder}: expected {path.name} in it, found none; give one STEP.ckpt folder of a pre-training"
        )
    note(f"weights of {folder.name}: those of {path.name}")
    weights = read_weights(path, note)
    config = _read_shape(weights, heads, path, note)
    return load_strictly(build_empty(lambda: RrcmVit(config), str(path)), weights, str(path))


def read_rrcm_classifier(
    path: Path,
    *,
    heads: int | None = None,
    normalises: bool | None = None,
    grid_points: int = 81,
    note: Note = silent,
) -> RrcmClassifier:
    """Return the classifier of a fine-tuned file, whose names begin with base_model. and linear_head., in eval mode.

    Args:
        path: The file; a prefix ``module.`` before all names is taken off.
        heads: As in ``read_rrcm_pretrained``.
        normalises: Whether the final norm stands before the head; None: as published, only at 224 pixels.
        grid_points: Of the time grid; 81 after a whole pre-training.
        note: Takes a line for each choice that no weight shows.

    Raises:
        InputError: The file is unreadable or hostile, or a weight is missing, left over or misshapen, or nothing says
            whether such a network normalises.
    """
    if type(grid_points) is not int or not 2 <= grid_points <= _MOST_POINTS:
        raise InputError(f"expected grid_points as a whole number in [2, {_MOST_POINTS}], got {grid_points!r}")
    if normalises is not None and type(normalises) is not bool:
        raise InputError(f"expected normalises True, False or None, got {normalises!r}")
    weights = read_weights(path, note)
    base = {name.removeprefix(_BASE): value for name, value in weights.items() if name.startswith(_BASE)}
    network = _read_shape(base, heads, path, note, before=_BASE)
    head = weights.get(f"{_HEAD}weight")
    if head is None or head.dim() != 2:
        raise InputError(f"{path}: weight '{_HEAD}weight' is missing or no matrix; is it a fine-tuned file of rRCM?")
    normalises = _NORMALISES.get(network.image_size) if normalises is None else normalises
    if normalises is None:
        raise InputError(
            f"{path}: whether the final norm stands before the head is known for images of 32 and 224 pixels, "
            f"found {network.image_size}; say it by normalises"
        )
    note(f"classifier's feature: the class token {'after' if normalises else 'without'} the final norm")
    note(f"classifier's time: the nearest of {grid_points} grid points to 2 sigma")
    try:
        config = RrcmClassifierConfig(
            network=network, classes=head.shape[0], normalises=normalises, grid_points=grid_points
        )
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    return load_strictly(build_empty(lambda: RrcmClassifier(config), str(path)), weights, str(path))


def read_rrcm(path: Path, name: str, note: Note = silent) -> Classifier:
    """Return the classifier of a fine-tuned file as published: heads of width 64, norm by the image's size, 81 points.

    Raises:
        InputError: As of ``read_rrcm_classifier``.
    """
    network = read_rrcm_classifier(path, note=note)
    shape = network.config.network
    wanted = PreprocessingConfig(mean=(0.5,) * shape.channels, std=(0.5,) * shape.channels, size=shape.image_size)
    return Classifier(network, network.config.classes, wanted, "rRCM's scale, [-1, 1]", shape.image_size, "none")


def _read_shape(
    weights: Mapping[str, Tensor], heads: int | None, path: Path, note: Note, *, before: str = ""
) -> RrcmVitConfig:
    """Return the shape that the weights have; the strict load that follows checks all the others against it."""
    shapes = {name: _shape(weights, name, axes, path, before) for name, axes in _READ_AXES.items()}
    width, patch = shapes["cls_token"][2], shapes["patch_embed.proj.weight"][2]
    across = math.isqrt(max(shapes["pos_embed"][1] - 2, 0))
    depth = len({name.split(".")[1] for name in weights if name.startswith("blocks.")})
    found: dict[str, Any] = {
        "image_size": across * patch,
        "patch_size": patch,
        "channels": shapes["patch_embed.proj.weight"][1],
        "width": width,
        "depth": depth,
        "heads": heads if heads is not None else _published_heads(width, path, note),
        "mlp_ratio": shapes["blocks.0.mlp.fc1.weight"][0] // max(width, 1),
        "projection_hidden": shapes["projection_head.0.weight"][0],
        "projection_width": shapes["projection_head.6.weight"][0],
    }
    return build_config(RrcmVitConfig, found, f"{path}: the shape of its weights")


def _shape(weights: Mapping[str, Tensor], name: str, axes: int, path: Path, before: str) -> tuple[int, ...]:
    if name not in weights or weights[name].dim() != axes:
        raise InputError(
            f"{path}: weight '{before}{name}' is missing or has no {axes} axes; is it a file of rRCM? "
            f"Its names are {told_names(weights)}"
        )
    return tuple(weights[name].shape)


def _published_heads(width: int, path: Path, note: Note) -> int:
    if width % _HEAD_WIDTH:
        raise InputError(
            f"{path}: expected a width that heads of {_HEAD_WIDTH} divide, as published, found {width}; say heads"
        )
    note(f"attention: {width // _HEAD_WIDTH} heads of width {_HEAD_WIDTH}")
    return width // _HEAD_WIDTH
