"""A frozen network is one that nothing can change."""

import pytest
from torch import nn

from purecert.train.strict.frozen import check_frozen, frozen_copy


def test_a_frozen_copy_learns_nothing_and_shares_nothing() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    copy = frozen_copy(network)
    check_frozen(copy, "the copy")
    assert all(p.requires_grad for p in network.parameters())
    assert not {id(p) for p in copy.parameters()} & {id(p) for p in network.parameters()}


def test_what_could_change_is_refused() -> None:
    in_train_mode = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).eval().requires_grad_(False)
    in_train_mode[1].train()
    for module in (in_train_mode, nn.Linear(2, 2).eval()):
        with pytest.raises(ValueError, match=r"the teacher must be frozen: call .eval\(\)"):
            check_frozen(module, "the teacher")
