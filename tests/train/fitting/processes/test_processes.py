"""Processes that share a batch find the gradient of one that has it all, and keep one network."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from purecert.engine.errors import BackendError, InputError
from purecert.train.fitting.data import Augmentation, Sampler, load_images
from purecert.train.fitting.loop import fit
from purecert.train.fitting.plans.optimizers import Sgd
from purecert.train.fitting.processes.group import Processes
from purecert.train.fitting.processes.launch import launch
from purecert.train.fitting.session import PausedError, Session
from purecert.train.fitting.step import Slope, find_slope
from purecert.train.networks.song.unet import SongUNet
from purecert.train.objectives.consistency import ConsistencyObjective
from purecert.train.recipes.digits import DigitsRecipe
from purecert.train.schedules.noise_levels import Curriculum
from support.toy_training import PLAN, toy_network, toy_objective, toy_sampler, train_toy

_ALONE = Processes()
_PLAIN = replace(PLAN, steps=12, optimizer=Sgd(momentum=0.9))


@pytest.fixture(autouse=True)
def _processes_find_this_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new processes import what they are to do, whose module's name begins with the folder of all tests."""
    monkeypatch.syspath_prepend(Path(__file__).parents[4])


def _slope_of_the_demo(processes: Processes) -> tuple[Slope, list[Tensor]]:
    """Return what the first step of the demo's purifier finds, whose network has no batch statistics, in FP32."""
    recipe = DigitsRecipe()
    torch.manual_seed(0)
    network = SongUNet(recipe.network)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)  # some begin at zero, and hide the gradients of others
    curriculum = Curriculum(first=recipe.grid_first, last=recipe.grid_last, steps=1)
    objective = ConsistencyObjective(
        network=network, config=recipe.consistency, times=recipe.times, curriculum=curriculum
    )
    sampler = Sampler(images=load_images("digits:train"), batch=64)
    batch = sampler.draw("purifier", 0, processes.rows(64))
    slope = find_slope(network, objective, batch, "fp32", processes)
    return slope, [p.grad for p in network.parameters() if p.grad is not None]


def _long_run(processes: Processes) -> list[Tensor]:
    """Return the weights after a training in double precision, without batch norm and dropout."""
    network = toy_network(has_batch_norm=False, dropout=0.0).double()
    images = toy_sampler().images
    still = Augmentation(shift=0.0, turn=0.0, stretch=0.0)
    sampler = replace(toy_sampler(), images=replace(images, pixels=images.pixels.double()), augmentation=still)
    fit(network, toy_objective(network), _PLAIN, sampler, Session(processes=processes))
    return [value.clone() for value in network.state_dict().values()]


def _idle_weight(processes: Processes) -> list[Tensor | None]:
    """Return the gradients of three weights: the first only the first process reaches, the last none."""
    module = nn.ParameterList([nn.Parameter(torch.ones(2)) for _ in range(3)])
    reached = slice(0, 2) if processes.is_first else slice(1, 2)
    find_slope(
        module,
        lambda _: torch.stack([weight.sum() for weight in list(module)[reached]]).sum(),
        toy_sampler().draw("toy", 0),
        "fp32",
        processes,
    )
    return [weight.grad for weight in module]


def _in_slices(processes: Processes, folder: Path) -> list[Tensor]:
    session = Session(folder=folder, processes=processes)
    for _ in range(2):
        # The clock of one process runs out: all of them stop after the same step.
        minutes = 0.0 if processes.rank == 1 else 60.0
        with pytest.raises(PausedError):
            train_toy(session.with_minutes(minutes), _PLAIN)
    return train_toy(session, _PLAIN)


def _one_of_two(processes: Processes, folder: Path) -> None:
    slope, gradients = _slope_of_the_demo(processes)
    found = {
        "loss": slope.loss,
        "norm": slope.norm,
        "gradients": gradients,
        "long": _long_run(processes),
        "idle": _idle_weight(processes),
        "whole": train_toy(Session(folder=folder / "whole", processes=processes), _PLAIN),
        "slices": _in_slices(processes, folder / "slices"),
        "kept": (folder / "whole" / "toy" / "metrics.jsonl").read_text().count("\n"),
    }
    torch.save(found, folder / f"{processes.rank}.pt")
    with pytest.raises(InputError, match="the processes found different states there"):
        train_toy(Session(folder=folder / ("whole" if processes.is_first else "other"), processes=processes), _PLAIN)
    if processes.rank == 1:
        raise InputError("planted in the second process")
    dist.barrier()  # the first one waits for it


def _the_second_dies(processes: Processes) -> None:
    if processes.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    processes.average_([torch.ones(1)])


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="planted in the second process"):  # the first failure is shown
        launch(_one_of_two, tmp_path, count=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    slope, gradients = _slope_of_the_demo(_ALONE)
    assert first["loss"] == pytest.approx(slope.loss, rel=1e-6)
    assert first["norm"] == pytest.approx(slope.norm, rel=1e-6)
    for found, other, expected in zip(first["gradients"], second["gradients"], gradients, strict=True):
        assert torch.equal(found, other)
        assert float((found - expected).norm()) <= 1e-6 * float(expected.norm())
    for found, expected in zip(first["long"], _long_run(_ALONE), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-13)
    # A weight that one process reached has the mean; one that none reached has no gradient, as in one process.
    assert [None if g is None else g.tolist() for g in first["idle"]] == [[0.5, 0.5], [1.0, 1.0], None]
    for name in ("whole", "slices"):  # with batch norm and dropout: the same network in both, also after slices
        for found, other, expected in zip(first[name], second[name], first["whole"], strict=True):
            assert torch.equal(found, other)
            assert torch.equal(found, expected)
    assert first["kept"] == 2  # lines of one writer


def _paused_while_the_first_saves(processes: Processes, file: Path) -> None:
    if processes.is_first:
        time.sleep(1)
        file.touch()
    raise PausedError("the time is up")


@pytest.mark.slow
def test_a_pause_waits_for_what_another_process_saves(tmp_path: Path) -> None:
    with pytest.raises(PausedError, match="the time is up"):
        launch(_paused_while_the_first_saves, tmp_path / "saved", count=2)
    assert (tmp_path / "saved").exists()


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BackendError, match=r"process 1 of 2 ended by SIGKILL|lost each other"):
        launch(_the_second_dies, count=2)
    assert "Traceback" not in capfd.readouterr().err


def test_a_batch_that_cannot_be_shared_evenly_is_refused() -> None:
    assert [Processes(rank=rank, count=3).rows(12) for rank in range(3)] == [slice(0, 4), slice(4, 8), slice(8, 12)]
    with pytest.raises(InputError, match="a batch of 16 cannot be shared evenly by 3 processes"):
        Processes(rank=0, count=3).rows(16)


def test_one_process_is_this_one(tmp_path: Path) -> None:
    kept: list[Callable[..., object]] = []
    launch(lambda processes, call: kept.append(call), len, count=1)
    assert kept == [len]
