"""--backend auto measures on this machine, says what it picked, and a resumed run keeps it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.graph import HostGraph, input_buffers
from purecert.engine.errors import BackendError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import Plan, read_plan
from purecert.engine.running import choosing
from purecert.engine.running.choosing import chosen_backend
from support.commands import engine

_IMAGES = load_dataset("digits:test[:4]").images
_ASKED = BackendOptions(name="auto", threads=1)
_NUMBERS = ("--data", "digits:test[:4]", "--sigma", "0.5", "--n", "300", "--n0", "20", "--probe-rows", "64")


def _with_rates(monkeypatch: pytest.MonkeyPatch, **rates: Callable[[int, int], float]) -> list[tuple[str, int, int]]:
    """Let each backend have a rate by batch and threads in place of a measured one; return what is opened."""
    opened: list[tuple[str, int, int]] = []

    class Graph(HostGraph):
        digest, executed_precision = "", "fp32"

        def __init__(self, name: str, plan: Plan, batch: int, threads: int) -> None:
            self.batch, self.rate = batch, rates[name](batch, threads)
            self._inputs = input_buffers(plan.record.inputs, batch)
            opened.append((name, batch, threads))

        @property
        def inputs(self) -> list[NDArray[np.generic]]:
            return self._inputs

        @property
        def versions(self) -> dict[str, str]:
            return {}

        def labels(self) -> NDArray[np.int32]:
            return np.zeros(self.batch, np.int32)

        def logits(self) -> None:
            return None

        def close(self) -> None:
            return None

    def open_graph(name: str) -> choosing.OpenGraph:
        return lambda plan, sigma, batch, threads: Graph(name, plan, batch, threads)

    def opener(name: str) -> Callable[[], choosing.OpenGraph]:
        return lambda: open_graph(name)

    monkeypatch.setattr(choosing, "_TRIED", {name: opener(name) for name in rates})
    monkeypatch.setattr(choosing, "_seconds", lambda graph, _: graph.batch / graph.rate)
    return opened


def test_the_fastest_backend_and_batch_are_picked(demo_plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_rates(monkeypatch, onnxruntime=lambda batch, _: 500.0, openvino=lambda batch, _: 900.0 - abs(batch - 128))
    found = chosen_backend(read_plan(demo_plan), 0.5, _IMAGES, _ASKED, None)
    assert (found.name, found.batch, found.threads) == ("openvino", 128, 1)


def test_half_of_the_threads_are_tried_where_there_are_four(demo_plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _with_rates(monkeypatch, onnxruntime=lambda _, threads: 1000.0 / threads)
    monkeypatch.setattr(choosing, "available_threads", lambda: 8)
    found = chosen_backend(read_plan(demo_plan), 0.5, _IMAGES, BackendOptions(name="auto", threads=4), None)
    assert found.threads == 2


def test_a_slow_plan_is_not_tried_in_larger_batches(demo_plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = _with_rates(monkeypatch, onnxruntime=lambda batch, _: 30.0)
    chosen_backend(read_plan(demo_plan), 0.5, _IMAGES, _ASKED, None)
    assert {batch for _, batch, _ in opened} == {32, 64}  # 64 rows take over 1.5 s


def test_where_nothing_runs_each_reason_is_given(demo_plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> choosing.OpenGraph:
        raise ImportError("No module named 'openvino'")

    monkeypatch.setattr(choosing, "_TRIED", {"openvino": absent})
    with pytest.raises(BackendError, match=r"no backend runs this plan here .openvino: No module named 'openvino'"):
        chosen_backend(read_plan(demo_plan), 0.5, _IMAGES, _ASKED, None)


def test_a_run_says_what_was_picked_and_a_resumed_one_keeps_it(demo_plan: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    begun = engine("certify", "--plan", demo_plan, *_NUMBERS, "--backend", "auto", "--out", run).expect(0)
    assert "picked " in begun.err
    backend = json.loads((run / "run.json").read_text())["backend"]
    assert f"picked {backend['name']} in batches of {backend['batch']} on {backend['threads']} threads" in begun.err
    before = (run / "run.json").read_bytes()
    resumed = engine("certify", "--plan", demo_plan, *_NUMBERS, "--backend", "auto", "--out", run, "--resume").expect(0)
    assert "picked" not in resumed.err
    assert (run / "run.json").read_bytes() == before


def test_a_batch_beside_auto_is_refused(demo_plan: Path, tmp_path: Path) -> None:
    arguments = ("--backend", "auto", "--batch", "64", "--out", tmp_path / "run")
    said = engine("certify", "--plan", demo_plan, *_NUMBERS, *arguments).expect(2)
    assert "--backend auto picks the batch; leave --batch out" in said.err
