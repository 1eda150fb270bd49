"""Training images: loaded once, drawn in batches that seed, stage and step decide, mildly augmented."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from purecert.engine.errors import InputError
from purecert.engine.images.datasets import load_dataset
from purecert.train.fitting.draws import Batch, Draws, step_seed
from purecert.train.shapes import Image, Labels


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Images:
    """Images on the [-1, 1] scale with their labels."""

    pixels: Image
    labels: Labels
    classes: int
    class_names: tuple[str, ...] = ()
    fingerprint: str = ""  # SHA-256 of what they were loaded from


def load_images(spec: str, data_dir: Path | None = None) -> Images:
    """Return a dataset by its name, such as digits:train; ``data_dir`` says where one that is not embedded lies.

    Raises:
        InputError: There is no such dataset, or it has no labels.
    """
    dataset = load_dataset(spec, data_dir)
    if dataset.labels is None:
        raise InputError(f"{spec}: training needs labels, and these images have none")
    pixels = torch.from_numpy(dataset.images).to(torch.float32) / 127.5 - 1
    return Images(
        pixels=pixels,
        labels=torch.from_numpy(dataset.labels.astype("int64")),
        classes=dataset.classes,
        class_names=dataset.class_names,
        fingerprint=dataset.fingerprint,
    )


def hold_out(images: Images, count: int, seed: int) -> tuple[Images, Images]:
    """Return the images without ``count`` of them that the seed chooses, and those.

    Raises:
        InputError: There are not more images than that.
    """
    total = len(images.labels)
    if not 0 < count < total:
        raise InputError(f"expected more than {count} training images, so that {count} can be held out, found {total}")
    order = torch.randperm(total, generator=torch.Generator().manual_seed(step_seed(seed, "held out", 0)))
    held, kept = order[:count].sort().values, order[count:].sort().values
    said = f"{count} of {images.fingerprint}, by seed {seed}"
    return _of_rows(images, kept, f"without {said}"), _of_rows(images, held, said)


def _of_rows(images: Images, rows: Tensor, fingerprint: str) -> Images:
    return replace(images, pixels=images.pixels[rows], labels=images.labels[rows], fingerprint=fingerprint)


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """Random movements of an image, each uniform between plus and minus its bound."""

    shift: float = 0.5  # pixels
    turn: float = 8.0  # degrees
    stretch: float = 0.08  # share of the size
    mirror: bool = False  # left and right change places in half the images

    def apply(self, images: Image, draws: Draws) -> Image:
        """Return the images moved, bilinearly, each on its own; what comes in from outside is black (-1)."""
        rows, size = images.shape[0], images.shape[-1]
        uniform = draws.uniform(6) * 2 - 1
        angle = uniform[:, 0] * math.radians(self.turn)
        zoom = 1 + uniform[:, 1:3] * self.stretch
        move = uniform[:, 3:5] * (2 * self.shift / size)  # grid coordinates run from -1 to 1
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(rows, 2, 2)
        if self.mirror:
            side = torch.where(uniform[:, 5] < 0, -1.0, 1.0)
            turn = torch.stack([turn[:, :, 0] * side[:, None], turn[:, :, 1]], dim=2)
        matrix = torch.cat([turn * zoom[:, None, :], move[:, :, None]], dim=2)
        if not (self.shift or self.turn or self.stretch or self.mirror):
            return images  # what bilinear sampling would give, to the last bit
        grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
        return functional.grid_sample(images + 1, grid, align_corners=False) - 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sampler:
    """Draws batches with replacement; seed, stage and step alone decide which."""

    images: Images
    batch: int  # of all processes together
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0

    def draw(self, stage: str, step: int, rows: slice | None = None, device: torch.device | None = None) -> Batch:
        """Return the batch of a step, augmented: of this process its ``rows`` (None: all), on ``device`` (None: CPU).

        What it draws first says which images, and how they move; the objective's draws go on after that.
        """
        draws = Draws(step_seed(self.seed, stage, step), self.batch, rows, device)
        index = draws.integer(len(self.images.labels)).to(self.images.labels.device)
        images, labels = (x[index].to(device or "cpu") for x in (self.images.pixels, self.images.labels))
        return Batch(images=self.augmentation.apply(images, draws), labels=labels, step=step, draws=draws)
