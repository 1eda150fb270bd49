"""A program that keeps something from one batch to the next is told from one that writes to what it made itself."""

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.backends.torch.state import refuse_state
from purecert.engine.errors import CheckError


class _Counting(nn.Module):
    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.register_buffer("kept", torch.zeros(2))
        self.inner = nn.Sequential(nn.Linear(3, 2), nn.ReLU(inplace=True))

    def forward(self, rows: Tensor) -> Tensor:
        found = self.inner(rows).view(-1, 2)
        found += 1
        if self.way == "in place":
            self.kept.add_(1)
        elif self.way == "through a view":
            self.kept.view(-1)[0:1].add_(1)
        elif self.way == "copied into":
            self.kept.copy_(self.kept + 1)
        elif self.way == "assigned":
            self.kept = self.kept + 1
        elif self.way == "into its input":
            rows.mul_(2)
        return found + (self.kept > 1e6)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # PyTorch's own, of its decompositions
@pytest.mark.parametrize("way", ["in place", "through a view", "copied into", "assigned", "into its input"])
@pytest.mark.parametrize("is_functional", [False, True])
def test_a_program_that_writes_to_what_outlives_a_batch_is_refused(way: str, is_functional: bool) -> None:
    program = torch.export.export(_Counting(way).eval(), (torch.zeros(4, 3),))
    with pytest.raises(CheckError, match="keeps nothing from batch to batch, but it writes to"):
        refuse_state(program.run_decompositions({}) if is_functional else program)


def test_a_program_that_writes_in_place_to_what_it_made_is_taken() -> None:
    refuse_state(torch.export.export(_Counting("nowhere").eval(), (torch.zeros(4, 3),)))
