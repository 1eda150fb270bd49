"""From a model to certificates: plans of many kinds through the whole path."""

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from purecert.engine.backends.base import BackendOptions, Segment
from purecert.engine.backends.opening import open_backend
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset
from purecert.engine.plans.plan import Plan, read_plan
from purecert.export.fusing.fuse import FusedModel
from purecert.export.pipeline import ExportSpec, export_plan
from purecert.train.models.checkpoints import Model
from purecert.train.models.preprocessing import Preprocessing, PreprocessingConfig
from purecert.train.purifiers.consistency import ConsistencyPurifier, MultistepConfig, MultistepPurifier
from purecert.train.purifiers.karras import KarrasConfig

pytestmark = pytest.mark.slow  # whole exports

MakePlan = Callable[..., Plan]


def _votes(plan: Plan, data: Dataset, backend: str, images: int = 3, draws: int = 100) -> list[list[int]]:
    """Return the counts of the estimation draws of the first images, invalid rows last."""
    options = BackendOptions(name=backend, batch=20, threads=1, probe_rows=20)
    opened = open_backend(plan, plan.record.graphs[0].sigma, 5, options, data.images, data.indices)
    with closing(opened):
        counts = []
        for slot in range(images):
            opened.place(slot, int(data.indices[slot]), data.images[slot])
            parts = [Segment(slot, 1, first, 20) for first in range(0, draws, 20)]
            counts.append(sum(opened.submit([part]).result()[0] for part in parts).tolist())
    return counts


def test_a_plan_read_back_is_the_plan_that_was_written(fp32_plan: Plan) -> None:
    assert read_plan(fp32_plan.directory) == fp32_plan
    names = sorted(path.relative_to(fp32_plan.directory).as_posix() for path in fp32_plan.directory.rglob("*"))
    assert names == ["cache", "cache/sigma-0.1.pt2", "cache/sigma-0.1.pt2.tag", "plan.json", "sigma-0.1.onnx"]


def test_both_backends_count_the_same_votes_in_fp32(fp32_plan: Plan, digits: Dataset) -> None:
    assert _votes(fp32_plan, digits, "torch") == _votes(fp32_plan, digits, "onnxruntime")


def test_fp16_and_fp32_plans_vote_alike(fp16_plan: Plan, fp32_plan: Plan, digits: Dataset) -> None:
    half, full = (np.array(_votes(plan, digits, "torch", images=10)) for plan in (fp16_plan, fp32_plan))
    # The gate allows half a percent of 1,000 draws to differ, each in two counts; four standard deviations on top.
    assert np.abs(half - full).sum() <= 2 * (5 + 4 * 5**0.5)


@pytest.mark.slow
@pytest.mark.parametrize("backend", [pytest.param("torch", marks=pytest.mark.nightly), "onnxruntime"])
def test_a_plan_with_extra_noise_runs(
    random_network: FusedModel, make_plan: MakePlan, digits: Dataset, tmp_path: Path, backend: str
) -> None:
    plan = make_plan(random_network, tmp_path / "plan", "fp16", 2)
    assert [entry.shape for entry in plan.record.inputs] == [(1, 8, 8), (2, 1, 8, 8)]
    assert all(sum(votes) == 100 for votes in _votes(plan, digits, backend))


class Corners(nn.Module):
    """A thousand classes told apart by a few pixels, at any size of image."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(48, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1))
        return logits


def _random_images(shape: tuple[int, int, int]) -> Dataset:
    generator = np.random.default_rng(3)
    flat = generator.integers(0, 256, (20, shape[0], 4, 4), np.uint8)
    return Dataset(
        name="random",
        indices=np.arange(20),
        images=flat.repeat(shape[1] // 4, axis=2).repeat(shape[2] // 4, axis=3),
        labels=None,
        classes=0,
        class_names=(),
        quantised=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "classes", "draws"),
    [((3, 32, 32), 1000, 400), pytest.param((3, 224, 224), 10, 20, marks=pytest.mark.nightly)],
)
def test_many_classes_and_large_images_run(
    make_plan: MakePlan, tmp_path: Path, shape: tuple[int, int, int], classes: int, draws: int
) -> None:
    torch.manual_seed(1)
    module = FusedModel(Corners(classes)).eval().requires_grad_(False)
    data = _random_images(shape)
    plan = make_plan(module, tmp_path / "plan", "fp32", data=data, draws=draws, classes=classes)
    (votes,) = _votes(plan, data, "onnxruntime", images=1, draws=40)
    assert len(votes) == classes + 1
    assert sum(votes) == 40


class Halved(nn.Module):
    """A denoiser that knows the time only through its preconditioning."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        mixed: Tensor = self.mix(x + label)
        return mixed


def _model(*, multistep: bool = False) -> Model:
    torch.manual_seed(2)
    config = KarrasConfig()
    purifier = (
        MultistepPurifier(MultistepConfig(model=config), Halved())
        if multistep
        else ConsistencyPurifier(config, Halved())
    )
    return Model(
        purifier=purifier.eval().requires_grad_(False),
        classifier=nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval().requires_grad_(False),
        preprocessing=Preprocessing(PreprocessingConfig(mean=(0.5,), std=(0.25,))),
        input_shape=(1, 8, 8),
        classes=3,
        class_names=("a", "b", "c"),
        sources=("made by a test",),
        choices=("time rule: exact (given)",),
        licence="none",
        sha256="0" * 64,
    )


def test_plan_json_says_where_the_graphs_come_from(digits: Dataset, tmp_path: Path) -> None:
    spec = ExportSpec(sigmas=(0.25, 0.5), precision="fp32", parity_draws=480)
    record = export_plan(_model(), spec, digits, tmp_path / "plan").record
    assert [(graph.sigma, graph.file, graph.t) for graph in record.graphs] == [
        (0.25, "sigma-0.25.onnx", 0.5),
        (0.5, "sigma-0.5.onnx", 1.0),
    ]
    assert (record.purifier, record.time_rule, record.data) == ("consistency", "exact", "digits:test")
    assert (record.model_sha256, record.sources, record.licence) == ("0" * 64, ("made by a test",), "none")
    assert record.choices == ("time rule: exact (given)",)
    assert record.class_names == ("a", "b", "c")
    assert set(record.exporter) == {"purecert", "torch", "onnx", "onnxscript"}


@pytest.mark.slow
def test_a_purifier_that_draws_noise_is_exported_with_its_input(digits: Dataset, tmp_path: Path) -> None:
    spec = ExportSpec(sigmas=(0.25,), precision="fp32", parity_draws=480)
    plan = export_plan(_model(multistep=True), spec, digits, tmp_path / "plan")
    assert [(entry.name, entry.shape) for entry in plan.record.inputs] == [
        ("pixels", (1, 8, 8)),
        ("noise_1", (1, 1, 8, 8)),
    ]
    assert all(sum(votes) == 100 for votes in _votes(plan, digits, "onnxruntime"))


def test_images_of_another_shape_are_refused_before_any_work(
    network: FusedModel, make_plan: MakePlan, tmp_path: Path
) -> None:
    spec = ExportSpec(sigmas=(0.25,), precision="fp32")
    with pytest.raises(InputError, match=r"images of shape \(1, 8, 8\) \(the model's\), random holds \(3, 8, 8\)"):
        export_plan(_model(), spec, _random_images((3, 8, 8)), tmp_path / "plan")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_plan_is_replaced_only_with_force(
    fp32_plan: Plan, network: FusedModel, make_plan: MakePlan, tmp_path: Path
) -> None:
    output = tmp_path / "plan"
    shutil.copytree(fp32_plan.directory, output)
    with pytest.raises(InputError, match="exists already"):
        make_plan(network, output, "fp16")
    assert read_plan(output).digest == fp32_plan.digest
    assert make_plan(network, output, "fp16", force=True).record.precision == "fp16"
    assert read_plan(output).record.precision == "fp16"


@pytest.mark.parametrize("sigmas", [(), (0.0,), (-1.0,), (float("nan"),), (float("inf"),), (0.5, 0.5)])
def test_sigmas_are_positive_finite_and_different(sigmas: tuple[float, ...]) -> None:
    with pytest.raises(
        InputError, match=r"expected (sigma to be a finite number > 0|at least one sigma and each once)"
    ):
        ExportSpec(sigmas=sigmas)


def test_a_gate_without_draws_is_refused() -> None:
    with pytest.raises(InputError, match="--parity-draws of at least 1, got 0"):
        ExportSpec(sigmas=(0.5,), parity_draws=0)
