"""The floating-point attack of Voracek and Hein (2023): a classifier that tells noisy copies apart by low-order bits.

In floating point, x + noise carries fewer low-order bits where x is large, so a classifier can read x off a noisy
copy. Through naive float noise that gives certificates which are false at a point inside their own radius. Integer
noise on the 8-bit grid leaves nothing to read.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from purecert.engine.certificates import Certificate, Outcome
from purecert.engine.plan import Plan
from purecert.engine.procedures import Counts, Draw, certify
from purecert.engine.spec import SmoothingSpec
from support.plans import write_test_plan
from support.runs import certify_images

_PIXELS = 2
_SHAPE = (1, 1, _PIXELS)
_SPEC = SmoothingSpec(mode="certify", sigma=0.5, n_select=100, n_estimate=100_000, alpha=1e-3)
_DISTANCE = float(np.sqrt(_PIXELS))  # between the black and the white image, in [0, 1] pixel units
_BLACK, _WHITE = np.zeros(_SHAPE, np.uint8), np.full(_SHAPE, 255, np.uint8)


def _is_false_pair(one: Outcome, other: Outcome) -> bool:
    """Return whether two certificates contradict each other: different answers, one radius reaching the other image."""
    if not (isinstance(one, Certificate) and isinstance(other, Certificate)):
        return False
    return one.predicted != other.predicted and max(one.radius, other.radius) > _DISTANCE


def _certify_naively(
    image: NDArray[np.uint8], dtype: type[np.floating], classify: Callable[..., NDArray[np.bool_]]
) -> Outcome:
    """Certify as the field's eager loops do: x + sigma * randn in floating point."""
    generator = np.random.default_rng(7)
    x = (image.astype(np.float64) / 255).astype(dtype)

    def votes(draw: Draw) -> Counts:
        noise = (generator.standard_normal((draw.count, *_SHAPE)) * _SPEC.sigma).astype(dtype)
        ones = int(classify((x + noise).astype(dtype)).sum())
        return np.array([draw.count - ones, ones, 0], np.int64)

    procedure = certify(_SPEC, 0.0)
    selected = votes(next(procedure))
    estimate = procedure.send(selected)
    with pytest.raises(StopIteration) as end:
        procedure.send(votes(estimate))
    return end.value.value


def _coarse(rows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which rows have only pixels on the coarse grid that 1 + noise is rounded to."""
    steps = float(2 ** (np.finfo(rows.dtype).nmant + 1))
    scaled = rows.astype(np.float64) * steps
    return np.asarray((scaled == np.rint(scaled)).all(axis=(1, 2, 3)))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_naive_float_noise_gives_a_false_certificate(dtype: type[np.floating]) -> None:
    black, white = _certify_naively(_BLACK, dtype, _coarse), _certify_naively(_WHITE, dtype, _coarse)
    assert _is_false_pair(black, white)


def _low_bit_plan(directory: Path, steps: float, period: float) -> Plan:
    """Write the attack as a plan: class 1 where every pixel of z / 255 * steps is a multiple of ``period``."""
    node = helper.make_node
    nodes = [
        node("Mul", ["pixels", "scale"], ["scaled"]),
        node("Mod", ["scaled", "period"], ["remainder"], fmod=1),
        node("Abs", ["remainder"], ["distance"]),
        node("ReduceMax", ["distance", "pixel_axes"], ["furthest"], keepdims=0),
        node("Equal", ["furthest", "zero"], ["coarse"]),
        node("Cast", ["coarse"], ["label"], to=TensorProto.INT32),
    ]
    constants = {
        "scale": np.array(steps, np.float32),
        "period": np.array(period, np.float32),
        "zero": np.array(0, np.float32),
        "pixel_axes": np.array([1, 2, 3], np.int64),
    }
    return write_test_plan(directory, nodes, constants, _SHAPE, sigma=_SPEC.sigma, logits=None)


@pytest.mark.parametrize(
    ("steps", "period"),
    [(2.0**24 / 255, 1.0), (2.0**11 / 255, 1.0), (1.0, 2.0), (1.0, 4.0), (1.0, 255.0)],
    ids=["float32 grid", "float16 grid", "parity", "two low bits", "multiples of white"],
)
def test_the_engine_gives_the_attack_no_false_certificate(tmp_path: Path, steps: float, period: float) -> None:
    plan = _low_bit_plan(tmp_path / "plan", steps, period)
    black, white = certify_images(plan, np.stack([_BLACK, _WHITE]), _SPEC, seed=11)
    assert not _is_false_pair(black.outcome, white.outcome)
