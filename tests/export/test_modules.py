"""A module of one's own becomes a plan that votes as the module does."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

import purecert
from purecert.engine.errors import CheckError, InputError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.protocol_buffers import with_output
from purecert.export.fusing.fuse import FusedModel
from purecert.export.gate.voters import EagerVoter
from purecert.export.modules import Sees, own_model
from purecert.export.pipeline import ExportSpec, origin_of

pytestmark = pytest.mark.slow  # whole exports


class _Centred(nn.Module):
    """A linear classifier of pixels in [low, high], whose logits are known in closed form."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high
        digits = load_dataset("digits:train[:600]")
        assert digits.labels is not None
        means = [digits.images[digits.labels == label].mean(axis=0).ravel() / 255 for label in range(10)]
        self.register_buffer("means", torch.tensor(np.array(means), dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixels = ((x - self.low) / (self.high - self.low)).flatten(1)
        return pixels @ self.means.T - (self.means**2).sum(dim=1) / 2


@pytest.mark.parametrize("input_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_a_module_of_any_input_range_is_certified_as_its_closed_form_says(
    tmp_path: Path, input_range: tuple[float, float]
) -> None:
    """Nearest class means are linear in the noise: the vote of a pair of classes is a normal probability."""
    module = _Centred(*input_range)
    plan = purecert.export_module(
        module, sigmas=[0.1], data="digits:test[:20]", out=tmp_path / "plan", input_range=input_range, parity_draws=400
    )
    assert plan.record.classes == 10
    digits = load_dataset("digits:test[:8]")
    run = purecert.certify(plan, "digits:test[:8]", sigma=0.1, n=2000, n0=50, threads=1)
    means = module.means.numpy().astype(np.float64)
    pixels = digits.images.reshape(8, -1) / 255
    scores = pixels @ means.T - (means**2).sum(axis=1) / 2
    order = np.argsort(scores, axis=1)
    for image, outcome in enumerate(run.outcomes):
        top, second = order[image, -1], order[image, -2]
        distance = (scores[image, top] - scores[image, second]) / np.linalg.norm(means[top] - means[second])
        if isinstance(outcome, purecert.Certificate):
            assert outcome.predicted == top
            assert outcome.radius < distance
    assert sum(isinstance(outcome, purecert.Certificate) for outcome in run.outcomes) >= 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sigmas": 0.25}, r"expected sigmas as several numbers, such as \[0.5\], got 0.25"),
        ({"sigmas": ["a"]}, "expected sigmas as several numbers"),
        ({"mean": 0.5}, "expected mean as several numbers"),
        ({"std": ["x"]}, "expected std as several numbers"),
        ({"input_range": 1}, "expected input_range as several numbers"),
        ({"size": 1.5}, "expected size as an integer, got 1.5"),
        ({"size": (8, 8)}, "expected size as an integer"),
        ({"parity_draws": 1.5}, "expected parity_draws as an integer"),
        ({"data": np.zeros((20, 1, 8, 8), np.uint8)}, "expected data by name, such as 'npz:FILE', got ndarray"),
    ],
)
def test_arguments_of_another_kind_are_named(arguments: dict[str, Any], words: str, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    given: dict[str, Any] = {"sigmas": [0.25], "data": "digits:test[:20]", "out": tmp_path / "plan"} | arguments
    with pytest.raises(InputError, match=words):
        purecert.export_module(network, **given)


@pytest.mark.parametrize("purifier", ["Denoiser", "module"])
def test_modules_are_left_in_the_mode_that_they_were_in(tmp_path: Path, purifier: str) -> None:
    frozen = nn.BatchNorm2d(1)
    network = nn.Sequential(frozen, nn.Flatten(), nn.Dropout(), nn.Linear(64, 10)).train()
    frozen.eval()
    inner = nn.Sequential(nn.Dropout(), nn.Conv2d(1, 1, 3, padding=1)).train()
    before = purecert.Denoiser(module=inner) if purifier == "Denoiser" else inner
    modes = [part.training for module in (network, inner) for part in module.modules()]
    weights = [value.clone() for value in network.state_dict().values()]
    words = "at least 20 images" if purifier == "Denoiser" else "purecert.Denoiser, got Sequential; put your network"
    with pytest.raises(InputError, match=words):
        purecert.export_module(
            network, sigmas=[0.25], data="digits:test[:3]", out=tmp_path / "plan", purifier=before, parity_draws=400
        )
    assert [part.training for module in (network, inner) for part in module.modules()] == modes
    assert all(map(torch.equal, weights, network.state_dict().values()))


def test_what_is_no_classifier_of_such_images_is_refused(tmp_path: Path) -> None:
    cases: list[tuple[nn.Module, dict[str, object], str]] = [
        (nn.Linear(3, 10), {}, "expected a module that takes images of shape"),
        (nn.Flatten(0), {}, r"expected logits \[images, classes\]"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), {}, r"at least two classes, got \[2, 1\]"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), {"input_range": (1.0, 0.0)}, "low < high"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), {"sigmas": []}, "at least one sigma"),
        (nn.Flatten(), {"mean": [0.1, 0.2]}, r"mean to have a number for each of 1 channels, got \[0.1, 0.2\]"),
        (nn.Flatten(), {"std": [0.0]}, "a std above 0"),
        (nn.Flatten(), {"class_names": ["a"]}, "expected 64 class names or none, got 1"),
        (nn.Flatten(), {"purifier": purecert.Denoiser(module=nn.Linear(3, 3))}, "expected a denoiser of images"),
        (nn.Flatten(), {"data": "digits:nowhere"}, "^data: expected digits:train or digits:test, got split 'nowhere'"),
    ]
    for module, changes, words in cases:
        options = {"sigmas": [0.25], "data": "digits:test[:20]", "out": tmp_path / "plan"} | changes
        with pytest.raises(InputError, match=words):
            purecert.export_module(module, **options)  # type: ignore[arg-type]  # by name
        assert not (tmp_path / "plan").exists()


class _Failing(nn.Module):
    """Fails by an error of any kind."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise self.error


@pytest.mark.parametrize(
    "error", [OSError("no such\nfile"), ZeroDivisionError("by zero"), ImportError("x"), RuntimeError("y"), Warning("z")]
)
def test_whatever_a_module_raises_is_one_line(tmp_path: Path, error: Exception) -> None:
    words = " ".join(str(error).split())
    kind = type(error).__name__
    for changes, expected in (
        ({"module": _Failing(error)}, "expected a module that takes images of shape"),
        ({"purifier": purecert.Denoiser(module=_Failing(error))}, "expected a denoiser of images"),
    ):
        module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        given: Any = {"module": module, "sigmas": [0.25], "data": "digits:test[:20]", "out": tmp_path / "plan"}
        with pytest.raises(InputError, match=f"{expected}.*, got {kind}: {words}") as caught:
            purecert.export_module(**given | changes)
        assert "\n" not in str(caught.value)


def test_a_module_that_fails_in_the_gate_is_one_line() -> None:
    voter = EagerVoter(FusedModel(_Failing(OSError("gone"))))
    with pytest.raises(InputError, match="expected a network that takes 3 noisy images at once, got OSError: gone"):
        voter.labels([np.zeros((3, 1, 8, 8), np.float32)])


@pytest.mark.parametrize("name", ["time", "scale"])
def test_a_function_of_the_users_that_fails_is_named(tmp_path: Path, name: str) -> None:
    """At the second sigma only: a table that was made for the first one."""
    denoiser = purecert.Denoiser(module=nn.Identity(), **{name: {0.25: 1.0}.__getitem__})
    with pytest.raises(InputError, match=f"expected a {name} at sigma 0.5, a number, got KeyError: 0.5"):
        denoiser.constants(0.5)


def test_a_denoiser_without_time_records_none(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    times = {None: (None, "none"), (lambda sigma: 8 * sigma): (2.0, "own")}
    for time, expected in times.items():
        inner: nn.Module = nn.Identity() if time is None else _Timed()
        denoiser = purecert.Denoiser(module=inner, time=time)
        model = own_model(
            module, Sees(), load_dataset("digits:test[:20]"), ExportSpec(sigmas=(0.25,)), purifier=denoiser
        )
        origin = origin_of(model, (0.25,))
        assert (origin.times.get(0.25), origin.time_rule) == expected


class _Timed(nn.Module):
    def forward(self, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        return x * times[:, None, None, None]


class _Network(nn.Module):
    """Convolutions with a time, as small denoisers have: the time is embedded and added."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.embed = (
            nn.Conv2d(1, 8, 3, padding=1),
            nn.Conv2d(8, 1, 3, padding=1),
            nn.Linear(1, 8),
        )

    def forward(self, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = torch.relu(self.first(x) + self.embed(times[:, None])[:, :, None, None])
        return self.last(hidden)


def test_normalisation_and_a_denoiser_are_part_of_the_plan(tmp_path: Path) -> None:
    """The graph's logits are those of the parts, called one after the other by hand."""
    torch.manual_seed(0)
    network = _Network().eval()
    classifier = nn.Sequential(nn.Upsample(16), nn.Flatten(), nn.Linear(256, 10)).eval()
    denoiser = purecert.Denoiser(module=network, predicts="noise", time=lambda sigma: 100 * sigma, clips=False)
    said = list[str]()
    plan = purecert.export_module(
        classifier,
        sigmas=[0.25],
        data="digits:test[:20]",
        out=tmp_path / "plan",
        mean=[0.3],
        std=[0.4],
        purifier=denoiser,
        class_names=tuple("abcdefghij"),
        parity_draws=400,
        talk=said.append,
    )
    record = plan.record
    assert (record.purifier, record.time_rule, record.graphs[0].t) == ("OwnPurifier", "own", 25.0)
    assert record.class_names == tuple("abcdefghij")
    assert record.choices == (
        "input range: pixels 0 and 255 become 0 and 1",
        "mean: 0.3",
        "std: 0.4",
        "resize: none",
        "denoiser's range: pixels 0 and 255 become -1 and 1",
        "denoiser predicts: noise, not limited to its range",
        "denoiser at sigma 0.25: scale 1, time 25",
    )
    assert said[:2] == [f"chosen: {line}" for line in record.choices[:2]]
    pixels = np.random.default_rng(0).integers(-100, 356, (7, 1, 8, 8)).astype(np.float32)
    y = torch.from_numpy(pixels) / 127.5 - 1
    with torch.no_grad():
        clean = y - 0.5 * network(y, torch.full((7,), 25.0))
        logits = classifier(((clean + 1) / 2 - 0.3) / 0.4)
    session = ort.InferenceSession(
        with_output(plan.read_graph(0.25), record.logits), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run([record.logits], {"pixels": pixels})
    assert float((torch.from_numpy(found) - logits).abs().max()) < 1e-4


class _Drifting(nn.Module):
    """Answers otherwise at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.linear(x.flatten(1)).roll(self.calls % 10, dims=1)


def test_a_module_whose_plan_votes_otherwise_leaves_no_plan(tmp_path: Path) -> None:
    with pytest.raises((CheckError, InputError)):
        purecert.export_module(
            _Drifting(), sigmas=[0.25], data="digits:test[:20]", out=tmp_path / "plan", parity_draws=400
        )
    assert not (tmp_path / "plan").exists()
