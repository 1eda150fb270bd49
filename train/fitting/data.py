"""Training images: loaded once, drawn in seeded batches, mildly augmented."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from purecert.engine.errors import InputError
from purecert.engine.images.datasets import load_dataset
from purecert.train.shapes import Image, Labels


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Images:
    """Images on the [-1, 1] scale with their labels."""

    pixels: Image
    labels: Labels
    classes: int
    class_names: tuple[str, ...] = ()


def load_images(spec: str) -> Images:
    """Return a dataset by its name, such as digits:train.

    Raises:
        InputError: There is no such dataset, or it has no labels.
    """
    dataset = load_dataset(spec)
    if dataset.labels is None:
        raise InputError(f"{spec}: training needs labels, and these images have none")
    pixels = torch.from_numpy(dataset.images).to(torch.float32) / 127.5 - 1
    labels = torch.from_numpy(dataset.labels.astype("int64"))
    return Images(pixels=pixels, labels=labels, classes=dataset.classes, class_names=dataset.class_names)


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """Random movements of an image, each uniform between plus and minus its bound."""

    shift: float = 0.5  # pixels
    turn: float = 8.0  # degrees
    stretch: float = 0.08  # share of the size

    def apply(self, images: Image, generator: torch.Generator) -> Image:
        """Return the images moved, bilinearly, each on its own; what comes in from outside is black (-1)."""
        rows, size = images.shape[0], images.shape[-1]
        uniform = torch.rand(rows, 5, generator=generator) * 2 - 1
        angle = uniform[:, 0] * math.radians(self.turn)
        zoom = 1 + uniform[:, 1:3] * self.stretch
        move = uniform[:, 3:5] * (2 * self.shift / size)  # grid coordinates run from -1 to 1
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).view(rows, 2, 2)
        matrix = torch.cat([turn * zoom[:, None, :], move[:, :, None]], dim=2)
        grid = functional.affine_grid(matrix, list(images.shape), align_corners=False)
        return functional.grid_sample(images + 1, grid, align_corners=False) - 1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sampler:
    """Draws batches with replacement; the generator alone decides which."""

    images: Images
    batch: int
    augmentation: Augmentation
    generator: torch.Generator

    def draw(self) -> tuple[Image, Labels]:
        """Return augmented images and their labels."""
        index = torch.randint(len(self.images.labels), (self.batch,), generator=self.generator)
        return self.augmentation.apply(self.images.pixels[index], self.generator), self.images.labels[index]
