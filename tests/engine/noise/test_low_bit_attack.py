"""The floating-point attack of Voracek and Hein (2023): a classifier that tells noisy copies apart by low-order bits.

In floating point, x + noise carries fewer low-order bits where x is large, so a classifier can read x off a noisy
copy. Through naive float noise that gives certificates which are false at a point inside their own radius. Integer
noise on the 8-bit grid leaves nothing to read.
"""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.outcomes import Certificate, Outcome
from purecert.engine.procedures.spec import SmoothingSpec
from support.plans import write_test_plan
from support.runs import certify_images

_PIXELS = 3
_SHAPE = (1, 1, _PIXELS)
_SPEC = SmoothingSpec(mode="certify", sigma=0.5, n_select=100, n_estimate=100_000, alpha=1e-3)
_DISTANCE = float(np.sqrt(_PIXELS))  # between the black and the white image, in [0, 1] pixel units
_BLACK, _WHITE = np.zeros(_SHAPE, np.uint8), np.full(_SHAPE, 255, np.uint8)
# From 64 on, grey levels in floating point are multiples of 2^-17 (float32) and 2^-4 (float16); smaller ones are finer.
# White plus noise is such a multiple always: where the sum is small, the noise was large and coarse itself.
_STEPS = {"float32": 2.0**17, "float16": 2.0**4}


def _attack_plan(directory: Path, steps: float, period: float = 1.0) -> Plan:
    """Write the attack: class 1 where every pixel, times ``steps``, is a multiple of ``period``."""
    node = helper.make_node
    nodes = [
        node("Mul", ["pixels", "steps"], ["scaled"]),
        node("Mod", ["scaled", "period"], ["remainder"], fmod=1),
        node("Abs", ["remainder"], ["distance"]),
        node("ReduceMax", ["distance", "pixel_axes"], ["furthest"], keepdims=0),
        node("Equal", ["furthest", "zero"], ["coarse"]),
        node("Cast", ["coarse"], ["label"], to=TensorProto.INT32),
    ]
    constants = {
        "steps": np.array(steps, np.float32),
        "period": np.array(period, np.float32),
        "zero": np.array(0, np.float32),
        "pixel_axes": np.array([1, 2, 3], np.int64),
    }
    return write_test_plan(directory, nodes, constants, _SHAPE, sigma=_SPEC.sigma, logits=None)


def _has_false_certificate(plan: Plan) -> bool:
    """Return whether black and white get other answers, one of them with a radius that reaches the other image."""
    black, white = (end.outcome for end in certify_images(plan, np.stack([_BLACK, _WHITE]), _SPEC, seed=11))
    return _answers_differ(black, white) and max(_radius(black), _radius(white)) > _DISTANCE


def _answers_differ(one: Outcome, other: Outcome) -> bool:
    return isinstance(one, Certificate) and isinstance(other, Certificate) and one.predicted != other.predicted


def _radius(outcome: Outcome) -> float:
    return outcome.radius if isinstance(outcome, Certificate) else 0.0


def _draw_in_floats(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """Make the engine draw as the field's eager loops do: image + scale * randn, in floating point."""
    generator = np.random.default_rng(7)

    def fill(
        noise: InputNoise, rows: NDArray[np.generic], addresses: NDArray[np.int64], images: NDArray[np.uint8]
    ) -> None:
        pixels = np.repeat(images[addresses[:, 0]], addresses[:, 4], axis=0).astype(dtype)
        drawn = (generator.standard_normal(rows.shape) * float(noise.table.scale)).astype(dtype)
        rows[...] = pixels + drawn

    monkeypatch.setattr(InputNoise, "fill", fill)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_attack_gets_a_false_certificate_from_noise_in_floats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    _draw_in_floats(monkeypatch, dtype)
    assert _has_false_certificate(_attack_plan(tmp_path / "plan", _STEPS[dtype]))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_same_attack_gets_none_from_the_engine(tmp_path: Path, dtype: str) -> None:
    assert not _has_false_certificate(_attack_plan(tmp_path / "plan", _STEPS[dtype]))


@pytest.mark.parametrize("period", [2.0, 4.0, 16.0, 255.0])
def test_reading_low_order_bits_of_the_integers_gets_none_either(tmp_path: Path, period: float) -> None:
    assert not _has_false_certificate(_attack_plan(tmp_path / "plan", 1.0, period))
