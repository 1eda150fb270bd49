"""What one draw of noise shows of each image: the label after purification, and where the purifier moved the image."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset
from purecert.engine.noise.contract import GREY_LEVELS
from purecert.engine.noise.rows import fill_rows
from purecert.engine.noise.table import smoothing_noise
from purecert.train.measures.frechet import frechet_distance, logits_and_features
from purecert.train.models.checkpoints import Model
from purecert.train.networks.conditioned import at_sigma
from purecert.train.purifiers.base import Purifier
from purecert.train.shapes import Image

_ESTIMATION = 1  # the phase of the draws that estimate a probability; its draw 0 is the one


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judge:
    """Who looks at the images: a classifier of purified images, on the device of what it looks at."""

    classifier: nn.Module
    preprocessing: nn.Module

    @torch.inference_mode()
    def look(self, images: Image) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the labels [batch] and the features [batch, n] of images on the [-1, 1] scale; no label is -1."""
        logits, features = logits_and_features(self.classifier, self.preprocessing(images))
        labels = torch.where(logits.isfinite().all(dim=1), logits.argmax(dim=1), -1)
        return labels.cpu().numpy(), features.float().cpu().numpy()


def judge_of(model: Model, sigma: float) -> Judge:
    """Return a model's own classifier as a judge; one that takes the noise level is asked at ``sigma``."""
    return Judge(classifier=at_sigma(model.classifier, sigma), preprocessing=model.preprocessing)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OneDraw:
    """What became of each image at one sigma, in the order of the data."""

    clean: NDArray[np.bool_]  # right when the purifier gets the image without noise
    right: NDArray[np.bool_]  # right with one draw of noise
    transport: NDArray[np.float64]  # L2 of the purified image to the clean one, in [0, 1] pixel units
    frechet: float  # between the purified images and the clean ones, in the extractor's features


def one_draw(
    purifier: Purifier,
    judge: Judge,
    data: Dataset,
    sigma: float,
    *,
    extractor: Judge | None = None,
    seed: int = 0,
    batch: int = 250,
) -> OneDraw:
    """Return what ``purifier`` and ``judge`` make of every image and of its first estimation draw of noise.

    The noise is the engine's, addressed by (seed, image): every purifier sees the same.

    Args:
        purifier: In eval mode.
        judge: In eval mode.
        data: Images with labels.
        sigma: Noise std in [0, 1] pixel units.
        extractor: Whose features the Frechet distance is of; None: the judge's. One for all that is compared.
        seed: Of the noise.
        batch: Images at a time; it changes rounding only.

    Raises:
        InputError: There are no labels, the purifier draws noise of its own, or it was not made for this sigma.
    """
    if data.labels is None:
        raise InputError(f"{data.name}: measuring needs labels, and these images have none")
    if purifier.noise_inputs(sigma):
        raise InputError("expected a purifier without noise of its own; certify this one by the engine")
    looks = (judge, extractor or judge)
    parts = [_part(purifier, looks, data, sigma, seed, rows) for rows in _batches(len(data), batch)]
    clean, right, transport, before, after = (np.concatenate(part) for part in zip(*parts, strict=True))
    return OneDraw(
        clean=clean == data.labels,
        right=right == data.labels,
        transport=transport,
        frechet=frechet_distance(before, after),
    )


def _batches(images: int, batch: int) -> Iterator[slice]:
    return (slice(first, min(first + batch, images)) for first in range(0, images, batch))


@torch.inference_mode()
def _part(
    purifier: Purifier, looks: tuple[Judge, Judge], data: Dataset, sigma: float, seed: int, rows: slice
) -> tuple[NDArray[np.generic], ...]:
    """Return labels without and with noise, transport, and features of clean and purified images."""
    judge, extractor = looks
    images, noisy = _scaled(data.images[rows]), _scaled(noisy_rows(data, rows, sigma, seed))
    purified = purifier(noisy, sigma)
    moved: Tensor = torch.linalg.vector_norm((purified - images).flatten(1).double(), dim=1) / 2
    label, after = judge.look(purified)
    if extractor is not judge:
        _, after = extractor.look(purified)
    return judge.look(purifier(images, sigma))[0], label, moved.numpy(), extractor.look(images)[1], after


def noisy_rows(data: Dataset, rows: slice, sigma: float, seed: int) -> NDArray[np.float32]:
    """Return the images of ``rows`` with their first estimation draw of noise, in grey levels as a graph sees them."""
    indices = data.indices[rows]
    out = np.empty((len(indices), *data.images.shape[1:]), np.float32)
    segments = [(slot, index, _ESTIMATION, 0, 1) for slot, index in enumerate(indices.tolist())]
    fill_rows(smoothing_noise(sigma), out, np.array(segments, np.int64), seed=seed, images=data.images[rows])
    return out


def _scaled(levels: NDArray[np.generic]) -> Image:
    return torch.from_numpy(levels.astype(np.float32)) * (2 / GREY_LEVELS) - 1
