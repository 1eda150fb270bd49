"""The Frechet distance between two sets of images, as seen by a classifier."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from purecert.engine.errors import InputError


def frechet_distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Return the squared Frechet distance between Gaussians with the mean and covariance of two sets of features.

    |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)) (Dowson and Landau 1982; of images: Heusel et al. 2017, eq. 6), computed in
    float64, at least 0. It is biased upwards, in
    proportion to 1 / images and more for more features: compare sets of one size and one extractor only.

    Args:
        a: Features [images, n], at least two rows.
        b: Features [images', n].

    Raises:
        InputError: There are fewer than two rows, other columns, or values that are not finite.
    """
    if min(len(a), len(b)) < 2 or a.shape[1:] != b.shape[1:]:
        raise InputError(f"the Frechet distance needs at least 2 rows of equal length, got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("the Frechet distance needs finite features; the purifier or the classifier gave others")
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    shift = first.mean(axis=0) - second.mean(axis=0)
    return gaussian_distance(shift, _covariance(first), _covariance(second))


def gaussian_distance(shift: NDArray[np.float64], covariance: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return |shift|^2 + tr(C + C' - 2 (C C')^(1/2)) of two positive semi-definite matrices, at least 0.

    The root's trace is that of (C^(1/2) C' C^(1/2))^(1/2), which is symmetric, so that no root of a product is needed.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    overlap = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other @ root), 0)).sum()
    return max(0.0, float(shift @ shift + np.trace(covariance) + np.trace(other) - 2 * overlap))


def _covariance(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.atleast_2d(np.cov(features, rowvar=False))


def last_linear(classifier: nn.Module) -> tuple[str, nn.Linear]:
    """Return the name and the module of a classifier's last linear layer, whose input are the features.

    Raises:
        InputError: It has none.
    """
    found = [(name, module) for name, module in classifier.named_modules() if isinstance(module, nn.Linear)]
    if not found:
        raise InputError("the Frechet distance needs a classifier that ends in a linear layer, found none")
    return found[-1]


def logits_and_features(classifier: nn.Module, given: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a classifier answers [batch, classes], and the input of its last linear layer [batch, n].

    Raises:
        InputError: It has no such layer, or that does not see one row an image.
    """
    seen: list[Tensor] = []
    name, layer = last_linear(classifier)
    hook = layer.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[0]))
    try:
        logits: Tensor = classifier(given)
    finally:
        hook.remove()
    if [entry.shape[:-1] for entry in seen] != [given.shape[:1]]:
        raise InputError(f"the layer {name} must see one row an image to give features, saw {[*map(_shape, seen)]}")
    return logits, seen[0]


def _shape(tensor: Tensor) -> list[int]:
    return list(tensor.shape)
