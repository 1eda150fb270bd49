"""Where the rounding of a float image can lie, and how far each image is said to have been moved."""

import itertools
import json
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import purecert
from purecert.engine.images.datasets import load_dataset
from purecert.engine.images.rounding import printed_distance, rounded, rounding_distances
from support.commands import engine
from support.plans import linear_plan

_SHAPE = (1, 8, 8)


def _bound(distance: float, dims: int) -> float:
    """Return docs/certificates.md's bound on how far from an 8-bit image the rounding of a float image lies."""
    return min(2 * distance, distance + math.sqrt(dims) / 510)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_rounding_lies_within_the_bound_and_nearly_reaches_it(dims: int) -> None:
    """Every offset of up to 3 grey levels in steps of a sixteenth, from an even and from an odd level."""
    steps = np.arange(-48, 49) / 16 if dims < 3 else np.arange(-24, 25) / 8
    offsets = np.array(list(itertools.product(steps, repeat=dims)))
    ratios = []
    for level in (100, 101):
        away = np.linalg.norm(rounded((level + offsets) / 255) / 255 - level / 255, axis=1)
        distances = np.linalg.norm(offsets, axis=1) / 255
        bounds = np.array([_bound(distance, dims) for distance in distances])
        assert np.all(away <= bounds + 1e-12)
        ratios.append(np.divide(away, bounds, out=np.zeros_like(away), where=bounds > 0))
    reached = offsets[np.maximum(*ratios) > 1 - 1e-9]
    halves = {tuple(sorted(map(abs, offset))) for offset in reached.tolist()}
    # 2 d, by any number of values at half a level; d + sqrt(dims) / 510, by all of them at one and a half.
    assert {(0.0,) * (dims - n) + (0.5,) * n for n in range(1, dims + 1)} <= halves
    assert {(1.5,) * dims, (2.5,) * dims} <= halves


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    kind=st.sampled_from([np.float16, np.float32, np.float64, np.longdouble]),
)
def test_an_image_is_said_to_move_no_less_than_it_does_and_hardly_more(values: list[float], kind: type) -> None:
    image = np.array(values, kind) / np.array(3, kind)  # of an extended float, what no double holds
    (said,) = rounding_distances(image.reshape(1, 1, 1, -1))
    exact = [Fraction(*value.as_integer_ratio()) for value in image]
    levels = rounded(image).tolist()
    squared = sum((value - Fraction(level, 255)) ** 2 for value, level in zip(exact, levels, strict=True))
    assert Fraction(said) ** 2 >= squared
    assert Fraction(said) <= Fraction(math.sqrt(squared)) + Fraction(1e-13)
    assert Fraction(said) <= Fraction(printed_distance(said)) <= Fraction(said) + Fraction(1, 10**6)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a plan whose smoothed classifier answers 1 beyond the plane where levels add up to more than 6,454."""
    folder = tmp_path_factory.mktemp("linear") / "plan"
    linear_plan(folder, np.ones(64, np.float32), 64 * 100 + 54, _SHAPE, sigma=0.01)
    return folder


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return images of floats, each at .016 from the image of level 100, some of which round away from it."""
    near, away = np.full(_SHAPE, 100.0), np.full(_SHAPE, 100.501)
    near[0, 0, 0] += 4  # a distance of 4 / 255, all of it in one value: it rounds to itself
    path = tmp_path_factory.mktemp("floats") / "floats.npz"
    np.savez(path, x=np.stack([near, away]) / 255, idx=np.array([7, 3]))
    return path


def test_inside_the_radius_the_rounding_of_floats_may_be_answered_otherwise_and_it_is_said_how_far_it_lies(
    plan: Path, floats: Path, tmp_path: Path
) -> None:
    image = np.full((1, *_SHAPE), 100, np.uint8)
    (certificate,) = purecert.certify(plan, image, sigma=0.01, n=10_000, seed=1, threads=1).outcomes
    assert isinstance(certificate, purecert.Certificate)
    assert certificate.predicted == 0
    numbers = ["--sigma", "0.01", "--n", "2000", "--seed", "1", "--threads", "1"]
    out = tmp_path / "run"
    said = engine("predict", "--plan", plan, "--data", f"npz:{floats}", "--out", out, *numbers).expect(0)
    run = purecert.read_run(out)
    assert [outcome.predicted for outcome in run.outcomes if isinstance(outcome, purecert.Prediction)] == [0, 1]

    stored = np.load(floats)["x"]
    distances = np.linalg.norm((stored - 100 / 255).reshape(2, -1), axis=1)
    assert max(distances) < 0.016 < 0.0247 < certificate.radius
    assert distances[0] + run.moved[0] < certificate.radius < distances[1] + run.moved[1]
    assert run.moved == tuple(load_dataset(f"npz:{floats}").moved)  # type: ignore[arg-type]  # an array
    kept = json.loads((out / "invocation.json").read_text())["moved_by_rounding"]
    assert kept == [{"index": 7, "distance": run.moved[0]}, {"index": 3, "distance": run.moved[1]}]
    (line,) = [line for line in said.err.splitlines() if "floats" in line]
    assert f"at most {printed_distance(run.moved[1])} away (L2 over pixels in [0, 1]; image 3)" in line


def test_images_of_8_bits_are_not_moved(plan: Path) -> None:
    image: NDArray[np.uint8] = np.full((1, *_SHAPE), 90, np.uint8)
    assert purecert.predict(plan, image, sigma=0.01, n=100, threads=1).moved == (0.0,)
    assert re.fullmatch(r"0\.000001", printed_distance(1e-9))
