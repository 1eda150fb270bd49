"""The field's loop draws the votes that Gaussian smoothing says it should; its labels are the model's own."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from purecert.engine.bench.agreement import Draws, noisy_rows
from purecert.engine.bench.measure import Task
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import read_plan
from purecert.export.bench.eager_loop import draw_votes, measure_eager, reference_labels
from purecert.export.bench.matrix_rate import matrix_rates
from purecert.export.fusing.fuse import fuse
from purecert.train.models.checkpoints import demo_model_path, load_model

_SIGMA = 0.5
_DRAWS = 40_000


class _Plane(nn.Module):
    """Class 1 where the first pixel on the [-1, 1] scale exceeds a threshold, or where the extra noise does."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, images: Tensor, *extra: Tensor) -> Tensor:
        seen = extra[0][:, 1] if extra else images
        value = seen[:, 0, 0, 0] - self.threshold
        return torch.stack([torch.zeros_like(value), value], dim=1)


def _above(threshold: float) -> float:
    """Return the probability that a standard normal exceeds ``threshold``."""
    return 0.5 * math.erfc(threshold / math.sqrt(2))


@pytest.mark.parametrize(
    ("pixel", "threshold", "extra", "probability"),
    [
        # x + sigma z > t on [0, 1] is 2 (x + sigma z) - 1 > 2 t - 1 on [-1, 1].
        (0.25, 2 * 0.5 - 1, [], _above((0.5 - 0.25) / _SIGMA)),
        (0.9, 2 * 0.2 - 1, [], _above((0.2 - 0.9) / _SIGMA)),
        (0.9, 0.7, [(2, 1, 3, 3)], _above(0.7)),
    ],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_votes_have_the_probability_of_gaussian_smoothing(
    pixel: float, threshold: float, extra: list[tuple[int, ...]], probability: float, layout: torch.memory_format
) -> None:
    image = torch.full((1, 3, 3), pixel)
    with torch.random.fork_rng():
        torch.manual_seed(11)
        votes = draw_votes(_Plane(threshold), image, _SIGMA, _DRAWS, 3, extra=extra, layout=layout)
    assert (votes.shape, votes.sum(), votes[2]) == ((3,), _DRAWS, 0)
    deviation = math.sqrt(probability * (1 - probability) / _DRAWS)
    assert votes[1] / _DRAWS == pytest.approx(probability, abs=5 * deviation)


@pytest.fixture
def task(demo_plan_fp16: Path) -> Task:
    data = load_dataset("digits:test[:24]")
    draws = Draws(images=data.images, indices=data.indices, per_image=5)
    return Task(plan=demo_plan_fp16, sigma=_SIGMA, draws=draws, seconds=0.05, threads=1, compares=True)


def test_labels_are_the_models_own_on_the_addressed_rows(task: Task) -> None:
    module = fuse(load_model(demo_model_path()), _SIGMA)
    rows = next(noisy_rows(read_plan(task.plan), _SIGMA, task.draws, 1, 120))
    with torch.inference_mode():
        expected = module(torch.from_numpy(rows[0]))[1].argmax(dim=1)
    assert len(set(expected.tolist())) > 5
    assert reference_labels(task, str(demo_model_path())).tolist() == expected.tolist()


@pytest.mark.skipif(torch.cuda.is_available(), reason="the layouts are the CPU's variants")
def test_both_layouts_are_measured_and_label_alike(task: Task) -> None:
    reference = reference_labels(task, str(demo_model_path()))
    for variant in ("NCHW", "channels-last"):
        found = measure_eager(task, str(demo_model_path()), variant, 32)
        assert (found.executed_precision, found.device, found.device_memory_peak) == ("fp32", "cpu", None)
        assert found.timing.rows == 32 * len(found.timing.latencies)
        assert found.timing.seconds >= 0.05
        assert found.labels is not None
        assert np.mean(found.labels == reference) > 0.99  # other sums may turn a near-tie


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_both_precisions_of_a_gpu_are_measured(task: Task) -> None:
    reference = reference_labels(task, str(demo_model_path()))
    for variant in ("TF32 off", "torch's defaults"):
        found = measure_eager(task, str(demo_model_path()), variant, 32)
        assert (found.device, found.hardware) == ("accelerator", torch.cuda.get_device_name())
        assert found.device_memory_peak
        assert found.labels is not None
        assert np.mean(found.labels == reference) > 0.98


def test_matrix_products_have_a_rate_at_each_known_precision() -> None:
    rates = matrix_rates([("cpu", "fp32"), ("cpu", "int8")], 1)
    assert list(rates) == [("cpu", "fp32")]
    # Far below any processor's, and far above any core's, fastest rate.
    assert 1e8 < rates["cpu", "fp32"] < 1e13
