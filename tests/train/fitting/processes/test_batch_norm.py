"""Two processes with shared batch norm and gathered features find what one process does that has the whole batch."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from purecert.train.fitting.draws import Batch, Draws
from purecert.train.fitting.processes.batch_norm import share_batch_norms
from purecert.train.fitting.processes.group import Processes
from purecert.train.fitting.processes.launch import launch
from purecert.train.fitting.step import find_slope
from purecert.train.networks.rrcm.vit import RrcmVit, RrcmVitConfig
from purecert.train.objectives.rrcm.pretraining import RrcmPretrainingObjective, following_copy
from purecert.train.schedules.rrcm import CeilingCurriculum, SigmoidDecay

_ALONE = Processes()
_ROWS = 8
_SHAPE = RrcmVitConfig(
    image_size=8, channels=2, width=16, depth=1, heads=2, mlp_ratio=2, projection_hidden=12, projection_width=6
)


@pytest.fixture(autouse=True)
def _processes_find_this_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new processes import what they are to do, whose module's name begins with the folder of all tests."""
    monkeypatch.syspath_prepend(Path(__file__).parents[4])


def _views(images: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
    return images, images.flip(3), images + 0.1 * draws.normal(2, 8, 8)


def _pretrain(processes: Processes) -> dict[str, object]:
    """Return what two steps of rRCM's pre-training find in double precision, and the buffers after them."""
    torch.manual_seed(0)
    network = share_batch_norms(RrcmVit(_SHAPE).double(), processes).train()
    assert isinstance(network, RrcmVit)
    objective = RrcmPretrainingObjective(
        network=network,
        target=following_copy(network),
        views=_views,
        curriculum=CeilingCurriculum(steps=2),
        decay=SigmoidDecay(steps=2),
        processes=processes,
    )
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(_ROWS, 2, 8, 8, dtype=torch.float64, generator=generator)
    rows = processes.rows(_ROWS)
    losses, gradients = [], []
    for step in range(2):
        labels = torch.zeros(_ROWS // processes.count, dtype=torch.int64)
        batch = Batch(images=images[rows], labels=labels, step=step, draws=Draws(step, _ROWS, rows))
        losses.append(find_slope(network, objective, batch, "fp32", processes).loss)
        gradients += [p.grad.clone() for p in network.parameters() if p.grad is not None]
        with torch.no_grad():
            for p in network.parameters():
                p -= 0.1 * (torch.zeros_like(p) if p.grad is None else p.grad)
        objective.after_step(step)
    buffers = [*network.buffers(), *objective.target.buffers()]
    return {"losses": losses, "tensors": [*gradients, *network.parameters(), *buffers]}


def _images(processes: Processes) -> dict[str, object]:
    """Return the outputs of a batch norm of images, its gradients and its statistics, in FP32."""
    generator = torch.Generator().manual_seed(2)
    x = (3 + torch.randn(_ROWS, 4, 3, 5, generator=generator))[processes.rows(_ROWS)].requires_grad_()
    norm = share_batch_norms(nn.BatchNorm2d(4, eps=1e-3, momentum=0.3), processes)
    with torch.no_grad():
        for p in norm.parameters():
            p.copy_(torch.randn(4, generator=generator))
    y = norm(x)
    (y.sin().mean() / processes.count).backward()
    assert x.grad is not None
    share = {"rows": torch.cat([processes.gather(y.detach()), processes.gather(x.grad)])}
    return {**share, "statistics": list(norm.buffers()), "eval": norm.eval()(torch.ones(2, 4, 3, 5)).detach()}


def _one_of_two(processes: Processes, folder: Path) -> None:
    torch.save({"pretrained": _pretrain(processes), "images": _images(processes)}, folder / f"{processes.rank}.pt")
    with pytest.raises(ValueError, match="expected as many values in every process's batch norm"):
        share_batch_norms(nn.BatchNorm1d(4), processes)(torch.zeros(2 + processes.rank, 4))


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path) -> None:
    launch(_one_of_two, tmp_path, count=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    expected, images = _pretrain(_ALONE), _images(_ALONE)
    assert first["pretrained"]["losses"] == pytest.approx(expected["losses"], rel=1e-6)
    found = (first["pretrained"]["tensors"], second["pretrained"]["tensors"], expected["tensors"])
    for mine, other, wanted in zip(*found, strict=True):  # type: ignore[misc]
        assert torch.equal(mine, other)
        torch.testing.assert_close(mine, wanted, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(first["images"], images, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(second["images"]["statistics"], images["statistics"], rtol=1e-5, atol=1e-6)


def test_keys_and_what_one_process_computes_stay_as_they_were() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.BatchNorm1d(6)), nn.ReLU())
    torch.manual_seed(0)
    shared = share_batch_norms(nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.BatchNorm1d(6)), nn.ReLU()), _ALONE)
    for mode in (True, False):
        x = torch.randn(5, 4)
        assert torch.equal(shared.train(mode)(x), plain.train(mode)(x))
    assert shared.state_dict().keys() == plain.state_dict().keys()
    assert all(
        torch.equal(a, b) for a, b in zip(shared.state_dict().values(), plain.state_dict().values(), strict=True)
    )
    assert not share_batch_norms(nn.BatchNorm1d(2).eval(), _ALONE).training


@pytest.mark.parametrize(
    "norm",
    [
        nn.SyncBatchNorm(2),
        nn.BatchNorm1d(2, affine=False),
        nn.BatchNorm1d(2, track_running_stats=False),
        nn.BatchNorm1d(2, momentum=None),
    ],
)
def test_an_unusual_batch_norm_is_refused(norm: nn.Module) -> None:
    with pytest.raises(ValueError, match="expected a plain batch norm"):
        share_batch_norms(nn.Sequential(norm), _ALONE)
