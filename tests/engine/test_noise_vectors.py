"""The published noise values of contract v1, made by an independent program."""

import csv
from itertools import groupby
from pathlib import Path
from typing import cast

import pytest

from purecert.engine import noise

_VECTORS = Path(__file__).parents[1] / "vectors" / "noise_v1.csv"


@pytest.fixture(params=["native", "torch"])
def path(request: pytest.FixtureRequest) -> noise.NoisePath:
    """Return each path in turn, skipping one that this machine lacks."""
    module = {"native": "purecert._kernels", "torch": "torch"}[request.param]
    pytest.importorskip(module, reason=f"the {request.param} noise path is not installed", exc_type=ImportError)
    return cast(noise.NoisePath, request.param)


def test_every_published_value_is_drawn(path: noise.NoisePath) -> None:
    with _VECTORS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1554
    address = ("sigma", "seed", "image", "phase", "draw")
    for (sigma, *numbers), group in groupby(rows, key=lambda row: [row[name] for name in address]):
        wanted = {int(row["element"]): int(row["q"]) for row in group}
        seed, image, phase, draw = map(int, numbers)
        q = noise.draw(float(sigma), seed=seed, image=image, phase=phase, draw=draw, count=max(wanted) + 1, path=path)
        assert {element: int(q[element]) for element in wanted} == wanted
