"""The published noise values of contract v1, made by an independent program."""

from purecert.engine.noise import rows as noise
from support.noise_vectors import published_rows


def test_every_published_value_is_drawn(path: noise.NoisePath) -> None:
    for row in published_rows():
        address = {"seed": row.seed, "image": row.image, "phase": row.phase, "draw": row.draw}
        q = noise.draw(row.sigma, **address, count=row.elements, path=path)
        assert {element: int(q[element]) for element in row.values} == row.values
