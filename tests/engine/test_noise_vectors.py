"""The published noise values of contract v1, made by an independent program."""

from typing import cast

import pytest

from purecert.engine import noise
from support.noise_vectors import published_rows


@pytest.fixture(params=["native", "torch"])
def path(request: pytest.FixtureRequest) -> noise.NoisePath:
    """Return each path in turn, skipping one that this machine lacks."""
    module = {"native": "purecert._kernels", "torch": "torch"}[request.param]
    pytest.importorskip(module, reason=f"the {request.param} noise path is not installed", exc_type=ImportError)
    return cast(noise.NoisePath, request.param)


def test_every_published_value_is_drawn(path: noise.NoisePath) -> None:
    for row in published_rows():
        address = {"seed": row.seed, "image": row.image, "phase": row.phase, "draw": row.draw}
        q = noise.draw(row.sigma, **address, count=row.elements, path=path)
        assert {element: int(q[element]) for element in row.values} == row.values
