"""A program that keeps something between batches is refused; one that writes only to its own results is taken."""

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.backends.torch.state import refuse_state
from purecert.engine.errors import CheckError

_WAYS = ("in place", "through a view", "copied into", "assigned", "into its input")


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
        elif self.way == "as an output":
            torch.add(self.kept, self.kept + 1, out=self.kept)
        elif self.way == "in a list":
            torch._foreach_add_([self.kept], 1)
        return found + (self.kept > 1e6)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # PyTorch's own, of its decompositions
@pytest.mark.parametrize("way", [*_WAYS, "as an output", "in a list"])
@pytest.mark.parametrize("is_functional", [False, True])
def test_a_program_that_writes_to_what_outlives_a_batch_is_refused(way: str, is_functional: bool) -> None:
    program = torch.export.export(_Counting(way).eval(), (torch.zeros(4, 3),))
    with pytest.raises(CheckError, match="keeps nothing from batch to batch, but it writes to"):
        refuse_state(program.run_decompositions({}) if is_functional else program)


def test_a_program_that_writes_in_place_to_what_it_made_is_taken() -> None:
    refuse_state(torch.export.export(_Counting("nowhere").eval(), (torch.zeros(4, 3),)))


class _Drawing(nn.Module):
    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.dropout = way, nn.Dropout(0.5)

    def forward(self, rows: Tensor) -> Tensor:
        if self.way == "rand_like":
            return rows + torch.rand_like(rows)
        if self.way == "attention":
            query = rows[None, None]
            return nn.functional.scaled_dot_product_attention(query, query, query, dropout_p=0.5)
        found: Tensor = self.dropout(rows)
        return found


@pytest.mark.parametrize("way", ["rand_like", "attention", "dropout"])
def test_a_program_that_draws_numbers_is_refused(way: str) -> None:
    program = torch.export.export(_Drawing(way), (torch.zeros(4, 3),))
    with pytest.raises(CheckError, match="draws random numbers"):
        refuse_state(program)


def test_layers_that_draw_nothing_in_eval_mode_are_taken() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    refuse_state(torch.export.export(layer, (torch.zeros(2, 3, 8),)))
    refuse_state(torch.export.export(_Drawing("dropout").eval(), (torch.zeros(4, 3),)))


class _Choosing(nn.Module):
    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.register_buffer("kept", torch.zeros(3))

    def forward(self, rows: Tensor) -> Tensor:
        if self.way == "by what it sees":
            found: Tensor = torch.cond(rows.sum() > 0, lambda x: x + 1, lambda x: x - 1, (rows,))
            return found
        with torch.no_grad():
            if self.way == "wrapped write":
                self.kept.add_(1)
            return rows * 2 + (torch.rand_like(rows) if self.way == "wrapped draw" else self.kept)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # PyTorch's own
def test_a_program_whose_parts_run_by_what_they_see_is_refused_and_one_that_only_wraps_them_is_not() -> None:
    with pytest.raises(CheckError, match="'cond' runs parts of it by what they see"):
        refuse_state(torch.export.export(_Choosing("by what it sees"), (torch.zeros(4, 3),)))
    wrapping = torch.export.export(_Choosing("without gradients"), (torch.zeros(4, 3),))
    assert any("wrap_with_set_grad_enabled" in str(node.target) for node in wrapping.graph.nodes)
    refuse_state(wrapping)
    for way, words in (("wrapped write", "it writes to"), ("wrapped draw", "draws random numbers")):
        with pytest.raises(CheckError, match=words):
            refuse_state(torch.export.export(_Choosing(way), (torch.zeros(4, 3),)))
