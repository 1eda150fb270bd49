"""Elsewhere than on the run's own engine nothing is verified, and votes moved to the claimed classes are found."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
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
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.plan import Plan
from purecert.engine.procedures.certify import certificate
from purecert.engine.procedures.outcomes import Abstention
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.records.lines import Line, dense_counts
from purecert.engine.statistics.vote_tests import LEVEL
from purecert.engine.verification.elsewhere import compare_elsewhere
from purecert.engine.verification.replay import Replayed
from support.forgery import leaning, rewrite, unchanged
from support.records import RUN
from support.verifying import IMAGES, certified_run, plane_and_images, verify

_N = 1_000
_SPECS = {
    "fixed": SmoothingSpec(mode="certify", sigma=0.5, n_estimate=_N),
    "label": SmoothingSpec(mode="certify", sigma=0.5, n_estimate=_N, against_label=True),
    "radii": SmoothingSpec(
        mode="certify", sigma=0.5, n_estimate=_N, stop=StopSpec(rule="radii", radii=(0.25, 0.5), alpha_final=5e-4)
    ),
    "predict": SmoothingSpec(mode="predict", sigma=0.5, n_estimate=_N),
    "answer": SmoothingSpec(mode="predict", sigma=0.5, n_estimate=_N, stop=StopSpec(rule="answer", least_chance=1e-3)),
}
_ELSEWHERE = {"hardware": "x86_64 Another"}
_SHARE = ("--share", "1")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere")
    plan, data = plane_and_images(folder)
    for name, spec in _SPECS.items():
        certified_run(plan, data, folder / name, spec)
    return folder


@pytest.fixture
def copy(runs: Path, tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(runs / name, tmp_path / name))


def _json(run: Path, *arguments: str, code: int) -> dict[str, Any]:
    return dict(json.loads(verify(run, *_SHARE, "--json", *arguments).expect(code).out))


@pytest.mark.parametrize(
    ("record", "arguments"),
    [(_ELSEWHERE, ()), ({}, ("--threads", "2")), ({}, ("--trust-plan",)), ({"versions": {"onnxruntime": "1"}}, ())],
)
def test_just_under_one_per_cent_of_votes_moved_to_each_class_fails(
    copy: Callable[[str], Path], record: dict[str, object], arguments: Sequence[str]
) -> None:
    run = copy("fixed")
    rewrite(run, leaning(0.01), backend=record)
    said = verify(run, *_SHARE, *arguments).expect(4).out
    assert "verified" not in said
    assert ("lean toward the claimed classes" if record else "replayed labels differ") in said


@pytest.mark.parametrize("name", _SPECS)
def test_an_honest_run_elsewhere_holds_its_arithmetic_and_is_not_verified(
    copy: Callable[[str], Path], name: str
) -> None:
    run = copy(name)
    assert _json(run, code=0)["state"] == "verified"
    rewrite(run, unchanged, backend=_ELSEWHERE)
    ended = verify(run, *_SHARE).expect(6)
    assert "x86_64 Another in the run" in ended.out
    assert "hardware is " in ended.out
    assert "verified" not in ended.out + ended.err
    assert "arithmetic holds; votes not reproduced on this engine (other than the run's: hardware)" in ended.err
    found = _json(run, code=6)
    assert (found["state"], found["exact"], found["differing_labels"]) == ("not reproduced", False, 0)
    claims = found["elsewhere"]["claims"]
    assert found["elsewhere"]["p_value"] == 1.0
    assert claims["as_written"] == claims["replayed"] == claims["smaller"]
    assert "another engine: backend.hardware" in verify(run, *_SHARE, "--strict").expect(4).out


@pytest.mark.parametrize("name", ["fixed", "label", "predict"])
def test_what_the_replay_does_not_show_is_taken_off_the_claims(copy: Callable[[str], Path], name: str) -> None:
    """So few votes that the test does not see them: the smaller claim is that of the honest run, or less."""
    run = copy(name)
    rewrite(run, unchanged, backend=_ELSEWHERE)
    before = _json(run, code=6)["elsewhere"]["claims"]["as_written"]
    rewrite(run, leaning(0.001))
    found = _json(run, code=6)["elsewhere"]
    claims = found["claims"]
    assert found["toward"] > IMAGES / 2
    assert found["away"] == 0
    assert sum(claims["as_written"]) >= sum(before) > 0
    assert all(a <= b for a, b in zip(claims["smaller"], before, strict=True))
    assert all(a <= b for a, b in zip(claims["replayed"], before, strict=True))


def test_without_a_replay_nothing_is_verified(runs: Path) -> None:
    assert "arithmetic holds; no vote was replayed" in verify(runs / "fixed", "--share", "0").expect(6).err


class _Threaded(HostGraph):
    """A graph that knows its number of threads; its labels do not depend on it, its logits may."""

    def __init__(self, batch: int, threads: int, *, matters: bool, logits: str) -> None:
        self._rows = [np.zeros((batch, 1, 2, 2), np.float32)]
        self._offset, self._logits = threads / 1e3 if matters else 0.0, logits

    @property
    def inputs(self) -> Sequence[NDArray[np.generic]]:
        return self._rows

    def labels(self) -> Int32[np.ndarray, " batch"]:
        return (self._margin() > 0).astype(np.int32)

    def logits(self) -> Float[np.ndarray, "batch classes"] | None:
        margin = self._margin() if self._logits == "fine" else np.sign(self._margin())
        return None if self._logits == "none" else np.stack([-margin, margin], axis=1) + np.float32(self._offset)

    def _margin(self) -> NDArray[np.float32]:
        return np.asarray(self._rows[0].reshape(len(self._rows[0]), -1).sum(axis=1) - 500, np.float32)

    @property
    def digest(self) -> str:
        return "d" * 64

    @property
    def executed_precision(self) -> str:
        return "fp32"

    @property
    def versions(self) -> dict[str, str]:
        return {"threaded": "1"}

    def close(self) -> None:
        """Nothing is held."""


def _kind(*, matters: bool, logits: str) -> BackendKind:
    def open_threaded(plan: Plan, sigma: float, noise: Sequence[InputNoise], options: BackendOptions) -> Opened:
        return open_on_host(plan, noise, _Threaded(options.batch, options.threads, matters=matters, logits=logits))

    def opener() -> Opener:
        return open_threaded

    return BackendKind(extra="none", opener=opener)


@pytest.mark.parametrize(
    ("matters", "logits", "code"), [(False, "fine", 0), (True, "fine", 6), (False, "none", 6), (False, "coarse", 6)]
)
def test_other_threads_are_another_engine_unless_logits_are_bit_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matters: bool, logits: str, code: int
) -> None:
    monkeypatch.setitem(registry.BACKENDS, "threaded", _kind(matters=matters, logits=logits))
    plan, data = plane_and_images(tmp_path)
    certified_run(
        plan, data, tmp_path / "run", SmoothingSpec(mode="certify", sigma=0.5, n_estimate=100), backend="threaded"
    )
    verify(tmp_path / "run", *_SHARE).expect(0)
    ended = verify(tmp_path / "run", *_SHARE, "--threads", "2").expect(code)
    assert ("threads is 2 here, 1 in the run" in ended.out) == (code == 6)


def test_a_claim_shrinks_by_every_draw_that_differs_also_where_its_class_keeps_its_votes() -> None:
    line = Line(
        index=0,
        label=3,
        outcome=certificate(RUN.spec, RUN.tv, 3, dense_counts({"3": 995, "0": 5}, 10)),
        counts=({"3": 100}, {"3": 995, "0": 5}),
    )
    here = Replayed(line=line, counts=({"3": 100}, {"3": 995, "1": 5}), looks=1)
    found = compare_elsewhere(RUN, [here], same_precision=True)
    assert (found.toward, found.away, found.p_value) == (0, 0, 1.0)
    assert found.claims.as_written == found.claims.replayed == (1, 1, 1, 1, 1)
    assert found.claims.smaller == (1, 1, 1, 1, 0)


def test_one_image_that_leans_is_found_among_many_that_do_not() -> None:
    line = Line(index=0, label=3, outcome=Abstention(), counts=({"3": 100}, {"3": 5_000, "0": 5_000}))
    honest = Replayed(line=line, counts=line.counts, looks=1)
    moved = replace(line, counts=({"3": 100}, {"3": 5_100, "0": 4_900}))  # just under one per cent
    leaning_one = Replayed(line=moved, counts=line.counts, looks=1)
    found = compare_elsewhere(RUN, [honest] * 400 + [leaning_one], same_precision=True)
    assert (found.toward, found.away) == (100, 0)
    assert found.p_value <= LEVEL
