"""A training of a second or less with everything that a state must hold: dropout, batch norm, a target, averages."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from purecert.train.fitting.data import Augmentation, Images, Sampler
from purecert.train.fitting.draws import Batch
from purecert.train.fitting.loop import fit
from purecert.train.fitting.plans.averages import FixedDecay
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.optimizers import RAdam
from purecert.train.fitting.plans.rates import Cosine
from purecert.train.fitting.session import Session

PLAN = Fit(
    stage="toy",
    steps=40,
    learning_rate=3e-2,
    optimizer=RAdam(),
    schedule=Cosine(warm_up=3),
    average=FixedDecay(share=0.8),
    clip=1.0,
    report_every=6,
    save_every=4,
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ToyObjective:
    """Cross entropy on noisy images, and a pull towards a target that follows."""

    network: nn.Module
    target: nn.Module

    def __call__(self, batch: Batch) -> Tensor:
        noisy = batch.images + batch.draws.normal(*batch.images.shape[1:])
        logits, followed = self.network(noisy), self.target(batch.images).detach()
        return functional.cross_entropy(logits, batch.labels) + 0.1 * (logits - followed).square().mean()

    def after_step(self, step: int) -> None:
        for follower, leader in zip(self.target.parameters(), self.network.parameters(), strict=True):
            follower.data.lerp_(leader.detach(), 0.3)

    def kept(self) -> Mapping[str, nn.Module]:
        return {"target": self.target}


def toy_images() -> Images:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(64, 1, 2, 2, generator=generator) * 2 - 1
    return Images(pixels=pixels, labels=(pixels.sum(dim=(1, 2, 3)) > 0).long(), classes=2)


def toy_sampler(batch: int = 16) -> Sampler:
    return Sampler(images=toy_images(), batch=batch, augmentation=Augmentation(), seed=5)


def toy_network(*, has_batch_norm: bool = True, dropout: float = 0.2) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        norm = nn.BatchNorm1d(8) if has_batch_norm else nn.Identity()
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 8), norm, nn.Dropout(dropout), nn.ReLU(), nn.Linear(8, 2))


def toy_objective(network: nn.Module) -> ToyObjective:
    return ToyObjective(network=network, target=copy.deepcopy(network).requires_grad_(False))


def train_toy(session: Session, plan: Fit = PLAN, *, has_batch_norm: bool = True) -> list[Tensor]:
    """Return every parameter and buffer after a training; with a folder, it goes on from there."""
    network = toy_network(has_batch_norm=has_batch_norm)
    fit(network, toy_objective(network), plan, toy_sampler(), session)
    return [value.clone() for value in network.state_dict().values()]


def train_toy_into(folder: Path, result: Path, steps: int) -> None:
    """Train and write the result, in a process that may be killed."""
    torch.save(train_toy(Session(folder=folder), replace(PLAN, steps=steps)), result)
