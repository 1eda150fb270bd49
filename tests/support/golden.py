"""Golden values from independent programs, where they are at hand, and what tests do to networks."""

import csv
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from support.shared_files import shared


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Golden:
    """One file of golden values: a network's weights, inputs and outputs."""

    config: dict[str, Any]
    arrays: dict[str, Tensor]

    def state(self, prefix: str = "") -> dict[str, Tensor]:
        """Return the weights under the keys after ``param:`` and ``prefix``."""
        start = f"param:{prefix}"
        return {key.removeprefix(start): value for key, value in self.arrays.items() if key.startswith(start)}


def golden(name: str) -> Golden:
    """Return the golden values of a network, or skip the test."""
    with np.load(shared(f"vectors/networks/{name}.npz"), allow_pickle=False) as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files if key not in ("config", "source")}
        return Golden(config=json.loads(str(file["config"])), arrays=arrays)


def table(name: str) -> list[dict[str, str]]:
    """Return the rows of a golden table, or skip the test."""
    with shared(f"vectors/tables/{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def randomise(module: nn.Module) -> None:
    """Give weights that start near zero a size at which they matter."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)
