"""Theorem 3.3 of Consistency Purification (Li et al. 2024) as a property: little transport, few changed labels.

The statement is derived here; of the paper we had only that it ties robustness to the transport between clean and
purified images. Let T(x) = E |D(x + e) - x| be an image's transport and r(x) its distance to the nearest image that the
classifier labels otherwise. A purified image with another label is at least r(x) away, so by Markov's inequality
P(f(D(x + e)) != f(x)) <= T(x) / r(x). It holds for every purifier, classifier and noise. Here the noise is a finite set
of draws, each as likely, so that both sides are exact.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from purecert.train.purifiers.consistency import ConsistencyPurifier
from purecert.train.purifiers.each import purify_each
from purecert.train.purifiers.edm import EdmPurifier
from purecert.train.purifiers.karras import KarrasConfig
from support import written_out as ref


@given(
    seed=st.integers(0, 10_000),
    sigma=st.floats(0.01, 1.0),
    size=st.integers(1, 3),
    offset=st.floats(-1.0, 1.0),
    is_edm=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_labels_change_at_most_as_often_as_the_transport_says(
    seed: int, sigma: float, size: int, offset: float, is_edm: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(1, 2, size, size, generator=generator, dtype=torch.float64) * 2 - 1
    noise = torch.randn(64, 2, size, size, generator=generator, dtype=torch.float64)
    slope = torch.randn(2 * size * size, generator=generator, dtype=torch.float64)
    purifier = (EdmPurifier if is_edm else ConsistencyPurifier)(KarrasConfig(), ref.TinyNetwork(seed))
    sigmas = torch.full((64,), sigma, dtype=torch.float64)
    with torch.no_grad():
        purified = purify_each(purifier, clean + 2 * sigma * noise, sigmas)

    height = clean.flatten(1) @ slope + offset  # a linear classifier: its sign is the label
    radius = float(height.abs() / slope.norm())
    transport = float((purified - clean).flatten(1).norm(dim=1).mean())
    changed = float(((purified.flatten(1) @ slope + offset).sign() != height.sign()).double().mean())
    assert changed * radius <= transport * (1 + 1e-9)


@pytest.mark.parametrize("t", [0.5, 1.0, 2.0])
def test_the_bound_is_met_where_every_changed_image_is_just_beyond_the_radius(t: float) -> None:
    """Data -1 and 1, the purifier is the sign: T = 2 Phi(-1/t), and the nearest image of the other label is 2 away."""
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    weight = torch.exp(-z.square() / 2) / torch.exp(-z.square() / 2).sum()
    purified = (1 + t * z).sign()
    transport, changed = float(((purified - 1).abs() * weight).sum()), float(((purified != 1) * weight).sum())
    assert changed == pytest.approx(transport / 2, rel=1e-12)
    assert changed == pytest.approx(float(ndtr(-1 / t)), rel=2e-2)
