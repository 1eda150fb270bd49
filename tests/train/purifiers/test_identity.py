"""The identity purifier is none."""

import torch

from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier


def test_the_identity_returns_its_input() -> None:
    x = torch.randn(2, 1, 8, 8)
    purifier = IdentityPurifier(IdentityConfig())
    assert purifier(x, 0.5) is x
    assert (purifier.time_rule, purifier.noise_inputs(0.5), purifier.timestep(0.5)) == ("none", (), None)
