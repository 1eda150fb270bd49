"""The terms of rRCM's pre-training (Lei et al. 2025, arXiv 2501.13094, section 3.2, as their code has them)."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from purecert.train.shapes import Image

Features: TypeAlias = Float[Tensor, "rows embedding"]
AllFeatures: TypeAlias = Float[Tensor, "all_rows embedding"]
Encode: TypeAlias = Callable[[Image, float], Tensor]  # features of noisy images at one level t of the [-1, 1] scale
Gather: TypeAlias = Callable[[Tensor], Tensor]  # rows of all processes, own ones first; without gradient

TEMPERATURE = 0.2  # tau


def nce(predicted: Features, target: AllFeatures, temperature: float = TEMPERATURE) -> Tensor:
    """Return the mean over i of log sum_k exp(u_i . v_k / tau) - u_i . v_i / tau, for u and v of length 1.

    At least in FP32, whatever autocast says: half precision moves a cosine over tau by a few hundredths.

    Args:
        predicted: u before its length is divided out, of this process's images.
        target: v, of the images of all processes: row i is of the same image as row i of ``predicted``, and those of
            other processes follow.
        temperature: tau.
    """
    with torch.autocast(predicted.device.type, enabled=False):
        u, v = (functional.normalize(_at_least_single(f), dim=1) for f in (predicted, target))
        cosines = u @ v.T / temperature
        return functional.cross_entropy(cosines, torch.arange(len(u), device=u.device))


def contrastive_term(
    project: Encode,
    target: Encode,
    views: tuple[Image, Image],
    noise: Image,
    t: float,
    gather: Gather,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Return NCE(p(a + t z, t), p_T(b + t z, t)); no gradient reaches p_T.

    Args:
        project: p of the network that is trained.
        target: p_T, of the one that follows it.
        views: a and b, two augmentations of the same images.
        noise: Standard normal z, the same for both.
        t: The lowest noise level.
        gather: Brings the target's features of all processes together.
        temperature: tau.
    """
    seen, compared = views
    with torch.no_grad():
        wanted = gather(target(compared + t * noise, t))
    return nce(project(seen + t * noise, t), wanted, temperature)


def consistency_term(
    represent: Encode,
    images: Image,
    noise: Image,
    high: float,
    low: float,
    gather: Gather,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Return NCE(c(x + t z, t), c(x + t' z, t')) of one network, without gradient through its answer at t'.

    Args:
        represent: c of the network that is trained, on both sides; not of the one that follows it.
        images: x.
        noise: Standard normal z, the same on both sides.
        high: t.
        low: t', the next lower level of the grid.
        gather: Brings the answers at t' of all processes together.
        temperature: tau.
    """
    with torch.no_grad():
        wanted = gather(represent(images + low * noise, low))
    return nce(represent(images + high * noise, high), wanted, temperature)


def _at_least_single(features: Tensor) -> Tensor:
    return features.to(torch.promote_types(features.dtype, torch.float32))
