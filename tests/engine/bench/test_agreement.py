"""Labels through a backend's counts, against a plane whose labels NumPy works out."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.bench.agreement import SEED, Draws, Labels, backend_labels, compare, noisy_rows
from purecert.engine.noise.rows import draw
from purecert.engine.plans.plan import Plan
from support.plans import LABEL_CONSTANTS, label_nodes, linear_plan, write_test_plan

_SHAPE = (1, 4, 4)
_SIGMA = 0.5
_WEIGHT = np.arange(-8, 8, dtype=np.float32)  # small integers: every sum is exact, in any order
# More images than a backend holds at once, and more draws than one submission takes.
_DRAWS = Draws(
    images=np.random.default_rng(2).integers(0, 256, (40, *_SHAPE), np.uint8),
    indices=np.arange(7, 407, 10),
    per_image=30,
)


def _labels(plan: Plan, batch: int = 64) -> Labels:
    options = BackendOptions(name="onnxruntime", batch=batch, probe_rows=batch)
    with closing(open_backend(plan, _SIGMA, SEED, options, _DRAWS.images, _DRAWS.indices)) as backend:
        return backend_labels(backend, _DRAWS)


def _noisy_sums() -> NDArray[np.int64]:
    """Return weight . z of every row, its noise drawn address by address."""
    sums = [
        int((_WEIGHT.astype(np.int64) * np.clip(image.ravel() + noise.astype(np.int64), -2048, 2047)).sum())
        for image, index in zip(_DRAWS.images, _DRAWS.indices, strict=True)
        for number in range(_DRAWS.per_image)
        for noise in [draw(_SIGMA, seed=SEED, image=int(index), phase=1, draw=number, count=16)]
    ]
    return np.array(sums)


@pytest.mark.parametrize("batch", [16, 256])
def test_labels_are_those_of_the_addressed_rows(tmp_path: Path, batch: int) -> None:
    plan = linear_plan(tmp_path / "plan", _WEIGHT, 100.5, _SHAPE, sigma=_SIGMA)
    assert _labels(plan, batch).tolist() == (_noisy_sums() > 100.5).astype(int).tolist()


def test_a_reference_sees_the_very_rows(tmp_path: Path) -> None:
    plan = linear_plan(tmp_path / "plan", _WEIGHT, 100.5, _SHAPE, sigma=_SIGMA)
    parts = [rows[0].reshape(len(rows[0]), -1) @ _WEIGHT for rows in noisy_rows(plan, _SIGMA, _DRAWS, 1, 64)]
    assert [len(part) for part in parts] == [64] * 18 + [48]
    assert np.concatenate(parts).tolist() == _noisy_sums().tolist()


def test_labels_that_differ_are_counted(tmp_path: Path) -> None:
    sums = _noisy_sums()
    reference = (sums > 100.5).astype(np.int64)
    other = _labels(linear_plan(tmp_path / "plan", _WEIGHT, -200.5, _SHAPE, sigma=_SIGMA))
    agreement = compare(other, reference, _DRAWS)
    between = int(((sums > -200.5) & (sums <= 100.5)).sum())
    assert 0 < between < len(_DRAWS)
    assert (agreement.draws, agreement.images, agreement.same) == (1200, 40, 1200 - between)
    assert agreement.share == 1 - between / 1200


def test_a_row_without_a_finite_logit_is_minus_one(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix"], ["sums"]),
        helper.make_node("Sqrt", ["sums"], ["logits"]),  # of a negative sum, no number
        *label_nodes(),
    ]
    matrix = np.stack([np.zeros_like(_WEIGHT), _WEIGHT], axis=1)
    plan = write_test_plan(tmp_path / "plan", nodes, {"matrix": matrix, **LABEL_CONSTANTS}, _SHAPE, sigma=_SIGMA)
    sums = _noisy_sums()
    assert (sums < 0).any()
    assert _labels(plan).tolist() == np.where(sums < 0, -1, (sums > 0).astype(int)).tolist()
