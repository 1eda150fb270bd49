"""Kills trainings at every turn: run as a program, which imports PyTorch once and forks for each training.

    python -m support.killed_training FOLDER KILLS

prints one JSON object: how many trainings were killed, by what, and whether the weights in the end are those of a
training that was never stopped, bit for bit, with the same log.
"""

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from support.toy_training import train_toy_into

_STEPS = 8  # with two saves
_MANY_STEPS = 300
# What writing to disk is made of: a kill before any of them, which is after the one before, must cost steps only.
_CALLS = ("fsync", "replace", "unlink")


def _forked(action: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        action()
        os._exit(0)
    return child


def _ended_by_kill(child: int) -> bool:
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or (os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0), status
    return killed


def _dies_at(call: int) -> None:
    """Kill this process before the ``call``-th call that writes to disk."""
    made = 0

    def dying(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            nonlocal made
            made += 1
            if made == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return wrapped

    for name in _CALLS:
        setattr(os, name, dying(getattr(os, name)))


def _log(folder: Path) -> list[list[Any]]:
    lines = [json.loads(line) for line in (folder / "toy" / "metrics.jsonl").read_text().splitlines()]
    return [[line["step"], line["loss"], line["gradient_norm"]] for line in lines]


def _is_whole(folder: Path, whole: Path) -> bool:
    found, expected = (torch.load(path / "result.pt", weights_only=True) for path in (folder, whole))
    return _log(folder) == _log(whole) and all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def _at_every_write(root: Path, whole: Path) -> int:
    """Return how many trainings were killed, each at the next write of a folder of its own; check them all."""
    for call in range(1, 1000):
        folder = root / f"write-{call}"
        folder.mkdir()

        def doomed(folder: Path = folder, call: int = call) -> None:
            _dies_at(call)
            train_toy_into(folder, folder / "result.pt", _STEPS)

        killed = _ended_by_kill(_forked(doomed))
        assert not _ended_by_kill(_forked(lambda folder=folder: train_toy_into(folder, folder / "result.pt", _STEPS)))
        assert _is_whole(folder, whole), folder
        if not killed:
            return call - 1
    raise AssertionError("a training that never ends")


def _at_random(root: Path, steps: int, kills: int, chance: random.Random) -> Path:
    """Return the folder of a training that was killed so many times, wherever it was."""
    folder = root / "random"
    folder.mkdir()
    done = 0
    while done < kills:
        child = _forked(lambda: train_toy_into(folder, folder / "result.pt", steps))
        time.sleep(chance.uniform(0.0, 0.15))
        os.kill(child, signal.SIGKILL)
        done += _ended_by_kill(child)
    assert not _ended_by_kill(_forked(lambda: train_toy_into(folder, folder / "result.pt", steps)))
    return folder


def _main(root: Path, kills: int) -> None:
    torch.set_num_threads(1)
    short, long = root / "short", root / "long"
    for folder, steps in ((short, _STEPS), (long, _MANY_STEPS)):  # here, since the first training loads most of PyTorch
        folder.mkdir()
        train_toy_into(folder, folder / "result.pt", steps)
    at_writes = _at_every_write(root, short)
    at_random = _is_whole(_at_random(root, _MANY_STEPS, kills, random.Random(0)), long)
    json.dump({"killed_at_writes": at_writes, "killed_at_random": kills, "is_whole": at_random}, sys.stdout)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
