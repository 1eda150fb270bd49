"""state.pt: where a training stands, in one file of plain types and tensors that is replaced whole."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError, one_line
from purecert.engine.files.canonical import write_atomically
from purecert.train.fitting.keeping.configuration import first_difference
from purecert.train.fitting.plans.averages import WeightAverage
from purecert.train.readers.archives import read_archive

STATE_FILE = "state.pt"
_SCHEMA = "purecert.training/1"
_KEYS = ("schema", "configuration", "tally", "module", "average", "optimizer", "kept")


@dataclass(kw_only=True, slots=True)
class Tally:
    """What is counted on the way."""

    step: int = 0  # steps done
    seconds: float = 0.0  # spent on them, in all sessions
    loss: float = 0.0  # sum since the last report
    losses: int = 0  # how many are in the sum


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Moving:
    """What one step of a training changes."""

    module: nn.Module
    average: WeightAverage
    optimizer: torch.optim.Optimizer
    kept: Mapping[str, nn.Module]  # networks of the objective that change with the trained one
    tally: Tally


def save_state(moving: Moving, configuration: Mapping[str, Any], path: Path) -> None:
    """Replace the state file by today's; a crash leaves the one before, or this one, whole."""
    tally = moving.tally
    content = {
        "schema": _SCHEMA,
        "configuration": dict(configuration),
        "tally": {name: getattr(tally, name) for name in Tally.__dataclass_fields__},
        "module": moving.module.state_dict(),
        "average": moving.average.average,
        "optimizer": moving.optimizer.state_dict()["state"],
        "kept": {name: network.state_dict() for name, network in moving.kept.items()},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_state(moving: Moving, configuration: Mapping[str, Any], path: Path) -> None:
    """Set everything in ``moving`` as the file has it; where there is no file, leave it as it is.

    Raises:
        InputError: The file is unreadable, damaged or no state, of another configuration, or does not fit.
    """
    if not path.exists():
        return
    content, _ = read_archive(path)
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA or set(content) != set(_KEYS):
        raise InputError(f"{path}: expected a training's state of schema {_SCHEMA}, found another file; move it away")
    if said := first_difference(dict(configuration), content["configuration"]):
        raise InputError(f"{path}: of another configuration: {said}; choose another folder, or train as before")
    try:
        _fill(moving, content)
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        reason = one_line(error)[:200]
        raise InputError(f"{path}: does not fit what is trained ({reason}); move it away") from error


@torch.no_grad()
def _fill(moving: Moving, content: Mapping[str, Any]) -> None:
    moving.module.load_state_dict(content["module"])
    moving.average.load(content["average"])
    _fill_optimizer(moving.optimizer, content["optimizer"])
    if set(content["kept"]) != set(moving.kept):
        raise ValueError(f"networks beside the trained one: {sorted(content['kept'])}, expected {sorted(moving.kept)}")
    for name, network in moving.kept.items():
        network.load_state_dict(content["kept"][name])
    for name, field in Tally.__dataclass_fields__.items():
        value = content["tally"][name]
        if type(value).__name__ != field.type and type(value) is not field.type:
            raise TypeError(f"{name} is {type(value).__name__}")
        if name != "loss" and value < 0:
            raise ValueError(f"{name} is {value}")
        setattr(moving.tally, name, value)


def _fill_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[int, Mapping[str, Any]]) -> None:
    """Load what the optimiser remembers; its settings are the plan's."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, entries in state.items():
        for name, value in entries.items():
            if isinstance(value, Tensor) and value.shape not in (parameters[index].shape, torch.Size()):
                raise ValueError(f"{name} of parameter {index} has shape {list(value.shape)}")
    optimizer.load_state_dict({"state": dict(state), "param_groups": optimizer.state_dict()["param_groups"]})
