"""rRCM's pre-training runs in the one loop: its loss falls, and stopped midway it ends at the same bits, target too."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from purecert.train.fitting.data import Sampler, load_images
from purecert.train.fitting.draws import Draws
from purecert.train.fitting.loop import fit
from purecert.train.fitting.plans.averages import FixedDecay
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.processes.batch_norm import share_batch_norms
from purecert.train.fitting.session import PausedError, Session
from purecert.train.networks.rrcm.vit import RrcmVit, RrcmVitConfig
from purecert.train.objectives.rrcm.pretraining import RrcmPretrainingObjective, following_copy
from purecert.train.schedules.rrcm import CeilingCurriculum, SigmoidDecay

_STEPS = 60
_SHAPE = RrcmVitConfig(
    image_size=8, patch_size=2, channels=1, width=32, depth=1, heads=2, projection_hidden=32, projection_width=16
)
_PLAN = Fit(
    stage="pretraining", steps=_STEPS, learning_rate=2e-3, average=FixedDecay(share=0.9), report_every=10, save_every=20
)


def _views(images: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
    a, b = (images + 0.1 * draws.normal(*images.shape[1:]) for _ in range(2))
    return images, a, b


def _pretrain(session: Session, precision: Any) -> list[Tensor]:
    """Return the weights after a pre-training, and the target's, going on where the session's folder stands."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = share_batch_norms(RrcmVit(_SHAPE), session.processes)
    assert isinstance(network, RrcmVit)
    objective = RrcmPretrainingObjective(
        network=network,
        target=following_copy(network),
        views=_views,
        curriculum=CeilingCurriculum(steps=_STEPS),
        decay=SigmoidDecay(start=0.5, end=0.9, steps=_STEPS),
        processes=session.processes,
    )
    sampler = Sampler(images=load_images("digits:train"), batch=32)
    fit(network, objective, replace(_PLAN, precision=precision), sampler, session)
    return [value.clone() for module in (network, objective.target) for value in module.state_dict().values()]


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=[pytest.mark.slow, pytest.mark.nightly])])
def test_the_loss_falls_and_a_pre_training_in_slices_is_the_whole_one(tmp_path: Path, precision: str) -> None:
    whole = _pretrain(Session(folder=tmp_path / "whole"), precision)
    lines = (tmp_path / "whole" / "pretraining" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert losses[-1] < 0.8 * losses[0]
    for _ in range(2):  # a step each
        with pytest.raises(PausedError):
            _pretrain(Session(folder=tmp_path / "sliced").with_minutes(0.0), precision)
    sliced = _pretrain(Session(folder=tmp_path / "sliced"), precision)
    assert all(torch.equal(a, b) for a, b in zip(sliced, whole, strict=True))
