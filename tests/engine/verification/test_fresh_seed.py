"""A fresh seed tells a run whose graph was fitted to its draws, or whose votes were moved, from an honest one."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float, Int32
from numpy.typing import NDArray

from purecert.engine.backends import registry
from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.graph import HostGraph, Opened
from purecert.engine.backends.host import open_on_host
from purecert.engine.backends.registry import BackendKind, Opener
from purecert.engine.images.datasets import load_dataset
from purecert.engine.noise.contract import ESTIMATE, SELECT
from purecert.engine.noise.inputs import InputNoise, noise_of_inputs
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.outcomes import Abstention
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.records.lines import Line, dense_counts
from purecert.engine.statistics.vote_tests import LEVEL
from purecert.engine.verification.fresh_seed import Pair, compare, fresh_problems, paired
from support.records import RUN, with_spec
from support.verifying import certified_run, plane_and_images, verify

_SEED, _N, _N0 = 7, 400, 20
_STOP = StopSpec(rule="radii", radii=(0.0, 0.25), alpha_final=5e-4)
_SPECS = {
    "fixed": SmoothingSpec(mode="certify", sigma=0.5, n_select=_N0, n_estimate=_N),
    "radii": SmoothingSpec(mode="certify", sigma=0.5, n_select=_N0, n_estimate=_N, stop=_STOP),
    "predict": SmoothingSpec(mode="predict", sigma=0.5, n_estimate=_N),
    "answer": SmoothingSpec(
        mode="predict", sigma=0.5, n_select=_N0, n_estimate=_N, stop=StopSpec(rule="answer", least_chance=1e-3)
    ),
}
_FRESH = ("--share", "1", "--fresh-seed", "--json")


class _Fitted(HostGraph):
    """Says 0 of the very rows that the run drew, and 1 of every other; of its pixels alone, wherever they lie."""

    seen: frozenset[bytes] = frozenset()

    def __init__(self, batch: int) -> None:
        self._rows = [np.zeros((batch, 1, 2, 2), np.float32)]

    @property
    def inputs(self) -> Sequence[NDArray[np.generic]]:
        return self._rows

    def labels(self) -> Int32[np.ndarray, " batch"]:
        return np.array([row.tobytes() not in self.seen for row in self._rows[0]], np.int32)

    def logits(self) -> Float[np.ndarray, "batch classes"] | None:
        sizes = 1e4 + self._rows[0].reshape(-1, 4) @ np.array([1, 0.3, 0.09, 0.027], np.float32)  # no two rows alike
        return np.eye(2, dtype=np.float32)[self.labels()] * sizes[:, None].astype(np.float32)

    @property
    def digest(self) -> str:
        return "f" * 64

    @property
    def executed_precision(self) -> str:
        return "fp32"

    @property
    def versions(self) -> dict[str, str]:
        return {"fitted": "1"}

    def close(self) -> None:
        """Nothing is held."""


def _fitted() -> Opener:
    def open_fitted(plan: Plan, sigma: float, noise: Sequence[InputNoise], options: BackendOptions) -> Opened:
        return open_on_host(plan, noise, _Fitted(options.batch))

    return open_fitted


def _rows_of(data: str) -> frozenset[bytes]:
    """Return every row that a run of ``data`` under the seed can draw."""
    dataset = load_dataset(data)
    (noise,) = noise_of_inputs(1, 0.5, _SEED, 1)
    rows = np.zeros((_N, 1, 2, 2), np.float32)
    seen: set[bytes] = set()
    for image in range(len(dataset)):
        for phase in (SELECT, ESTIMATE):
            noise.fill(rows, np.array([[image, dataset.indices[image], phase, 0, _N]]), dataset.images)
            seen |= {row.tobytes() for row in rows}
    return frozenset(seen)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Path]:
    folder = tmp_path_factory.mktemp("fresh")
    return *plane_and_images(folder), folder


@pytest.mark.parametrize("name", ["fixed", "radii", "predict", pytest.param("answer", marks=pytest.mark.slow)])
def test_an_honest_run_passes_and_one_fitted_to_its_draws_fails_though_its_replay_agrees(
    made: tuple[Path, str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    plan, data, _ = made
    monkeypatch.setitem(registry.BACKENDS, "fitted", BackendKind(extra="none", opener=_fitted))
    monkeypatch.setattr(_Fitted, "seen", _rows_of(data))
    certified_run(plan, data, tmp_path / "honest", _SPECS[name], seed=_SEED)
    honest = _json(verify(tmp_path / "honest", *_FRESH).expect(0).out)
    assert honest["fresh"]["p_value"] > 1e-6
    assert honest["fresh"]["seed"] != _SEED
    assert honest["fresh"]["power"]["can_fail"]
    certified_run(plan, data, tmp_path / "fitted", _SPECS[name], backend="fitted", seed=_SEED)
    assert _json(verify(tmp_path / "fitted", "--share", "1", "--json").expect(0).out)["verified"]
    ended = verify(tmp_path / "fitted", "--share", "1", "--fresh-seed").expect(4)
    assert "under a fresh seed its classes get 0 of " in ended.out
    assert "verified" not in ended.out


@pytest.mark.parametrize(
    ("moved", "allowance", "is_found"), [(0, 0.0, False), (99, 0.0, True), (35, 0.0, True), (35, 1e-3, False)]
)
def test_just_under_one_per_cent_of_votes_moved_is_found_by_the_fresh_seed_alone(
    moved: int, allowance: float, is_found: bool
) -> None:
    pairs = [_pair(9_500 + moved, 9_500) for _ in range(24)]
    fresh = compare(RUN, pairs, 1, allowance=allowance)
    assert (fresh.p_value <= LEVEL) == is_found
    assert len(fresh_problems(fresh)) == is_found
    assert (fresh.votes - fresh.fresh_votes, fresh.draws) == (24 * moved, 240_000)


def test_of_predictions_the_class_that_leads_in_both_is_compared_since_the_runs_own_leans_upward() -> None:
    """An image whose two classes are equally likely: the run's top class is ahead by chance, in each run anew."""
    record = with_spec(RUN, mode="predict", n_estimate=100)
    line = Line(index=0, label=None, outcome=Abstention(), counts=({"0": 52, "1": 48},))
    fresh = dense_counts({"0": 40, "1": 60}, record.classes)
    assert paired(record, line, fresh).top == 1


def _pair(k: int, fresh_k: int) -> Pair:
    counts, fresh = (dense_counts({"0": votes, "1": 10_000 - votes}, RUN.classes) for votes in (k, fresh_k))
    return Pair(
        line=Line(index=0, label=0, outcome=Abstention(), counts=({"0": 100},)), top=0, counts=counts, fresh=fresh
    )


def test_a_fresh_seed_without_a_share_is_refused(made: tuple[Path, str, Path], tmp_path: Path) -> None:
    plan, data, _ = made
    certified_run(plan, data, tmp_path / "run", _SPECS["predict"])
    assert "expected a share above 0" in verify(tmp_path / "run", "--share", "0", "--fresh-seed").expect(2).err
    # What could be found at a share is said with what was.
    said = verify(tmp_path / "run", "--share", "0.04", "--fresh-seed").expect(0).out
    assert re.search(r"fresh seed \d+, 1 images: .*; it fails where fresh draws give \d+\.\d% fewer votes\n", said)


@pytest.mark.parametrize("images", [2, 5, 20, 21])
def test_of_few_images_that_stop_early_the_output_says_that_the_test_cannot_fail(images: int) -> None:
    """Nearly all votes of the run for its class, hardly one of the fresh ones, no claim; and five images that tie."""
    record = with_spec(RUN, n_estimate=10_000, stop=_STOP, alpha=1e-3)
    fresh = compare(record, [_pair(9_999, 1)] * images + [_pair(9_000, 9_000)] * 5, 1, allowance=0.0)
    assert fresh.power.can_fail == (fresh.p_value <= LEVEL) == (images == 21)
    if images < 21:
        words = f"with {images + 5} images this test cannot fail; "
        assert str(fresh.power).startswith(words)
    else:
        assert str(fresh.power) == "the sign flips of 21 images that differ can fail"


def _json(text: str) -> dict[str, Any]:
    return dict(json.loads(text))
