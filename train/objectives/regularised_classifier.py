"""Consistency regularisation: a classifier that answers alike to several noises (Jeong and Shin 2020)."""

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from purecert.train.fitting.draws import Batch
from purecert.train.objectives.objective import Objective
from purecert.train.objectives.sigmas import Sigmas, add_noise
from purecert.train.shapes import Labels

CopiedLogits = Float[Tensor, "batch copies classes"]


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RegularisedClassifierObjective(Objective):
    """The loss of a classifier on several noisy copies of each image."""

    classifier: nn.Module
    preprocessing: nn.Module
    sigmas: Sigmas  # of an image, for all its copies
    copies: int = 2  # m
    weight: float = 10.0  # lambda; the paper: 20 at sigma .25, 10 at .5 and 1 on CIFAR-10, 5 on ImageNet
    entropy_weight: float = 0.5  # eta

    def __post_init__(self) -> None:
        if self.copies < 2:
            raise ValueError(f"copies must be at least 2, got {self.copies}: one copy agrees with itself")
        if not all(0 <= w < math.inf for w in (self.weight, self.entropy_weight)):
            raise ValueError(f"weights must be finite and >= 0, got {self.weight} and {self.entropy_weight}")

    def __call__(self, batch: Batch) -> Tensor:
        sigmas = self.sigmas.draw(batch.draws).repeat_interleave(self.copies)
        noise = batch.draws.normal(self.copies, *batch.images.shape[1:]).flatten(0, 1)
        noisy = add_noise(batch.images.repeat_interleave(self.copies, dim=0), noise, sigmas)
        logits = self.classifier(self.preprocessing(noisy)).unflatten(0, (-1, self.copies))
        return regularised_loss(logits, batch.labels, self.weight, self.entropy_weight)


def regularised_loss(logits: CopiedLogits, labels: Labels, weight: float, entropy_weight: float) -> Tensor:
    """Return the mean of CE + lambda mean_i KL(F || F_i) + eta H(F) (Jeong and Shin 2020, eqs. 6 and 7).

    F_i is the softmax of copy i and F the mean of them over the copies of an image, CE the mean of -log F_i[label]
    over the copies, H the entropy.

    Args:
        logits: Of the copies of each image, [batch, copies, classes].
        labels: Of the images.
        weight: lambda.
        entropy_weight: eta.
    """
    log_shares = logits.log_softmax(dim=2)
    # The mean of shares, by way of logarithms: a share of 0 in FP32 keeps a finite logarithm and its gradient.
    log_mean = log_shares.logsumexp(dim=1) - math.log(logits.shape[1])
    mean = log_mean.exp()
    entropy = -(mean * log_mean).sum(dim=1)
    divergence = -entropy - (mean[:, None] * log_shares).sum(dim=2).mean(dim=1)
    right = log_shares.gather(2, labels[:, None, None].expand(-1, logits.shape[1], 1))
    return torch.mean(-right.mean(dim=(1, 2)) + weight * divergence + entropy_weight * entropy)
