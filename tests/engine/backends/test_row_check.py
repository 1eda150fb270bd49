"""A graph that minds its neighbours, its place or the number of the batch is refused, before a draw is counted."""

import random
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from purecert.engine.backends.base import Backend, BackendOptions
from purecert.engine.backends.graph import Opened
from purecert.engine.backends.host import HostBackend
from purecert.engine.backends.opening import checked_backend
from purecert.engine.backends.rows import row_probe, row_progress
from purecert.engine.backends.rows.row_check import are_coarse, check_rows, images_to_check, permutations_for
from purecert.engine.backends.rows.row_layouts import other_neighbours, other_places, probe_addresses, row_count
from purecert.engine.backends.rows.row_probe import RowProbe
from purecert.engine.errors import CheckError
from purecert.engine.noise.inputs import noise_of_inputs
from purecert.engine.plans.plan import Plan
from purecert.engine.plans.trust import tag_path
from support.odd_graphs import (
    RULES,
    SHAPE,
    OddGraph,
    Rule,
    answers_only,
    in_tens_of_thousands,
    minds_its_row,
    rounds_by_place,
)
from support.plans import linear_plan

_IMAGES = np.random.default_rng(0).integers(0, 256, (30, *SHAPE), dtype=np.uint8)
_BATCHES = (16, 256)


def _rows(batch: int) -> list[NDArray[np.generic]]:
    noise = noise_of_inputs(1, 0.25, 5, 1)[0]
    addresses = probe_addresses(row_count(1000, batch), batch, np.arange(len(_IMAGES)))
    rows = np.zeros((len(addresses), *SHAPE), np.float32)
    noise.fill(rows, addresses, _IMAGES)
    return [rows]


@pytest.fixture(scope="module", params=_BATCHES)
def rows(request: pytest.FixtureRequest) -> tuple[int, list[NDArray[np.generic]]]:
    return request.param, _rows(request.param)


@pytest.mark.parametrize("labels_only", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_a_graph_that_minds_more_than_its_own_row_is_refused(
    rows: tuple[int, list[NDArray[np.generic]]], name: str, labels_only: bool
) -> None:
    batch, probed = rows
    with pytest.raises(CheckError, match="no certificate is possible"):
        check_rows(OddGraph(RULES[name], batch, labels_only=labels_only), probed, 2)


def test_rounding_that_depends_on_the_place_gives_static_placement(
    rows: tuple[int, list[NDArray[np.generic]]],
) -> None:
    batch, probed = rows
    for rule, labels_only, placement in (
        (minds_its_row, False, "row_invariant"),
        (minds_its_row, True, "static"),
        (rounds_by_place, False, "static"),
        (answers_only, False, "static"),
        (in_tens_of_thousands, False, "static"),
    ):
        found = check_rows(OddGraph(rule, batch, labels_only=labels_only), probed, 2, permutations=5)
        assert (found.placement, found.probed) == (placement, "labels" if labels_only else "logits")


@pytest.mark.parametrize("rule", [answers_only, in_tens_of_thousands])
def test_coarse_logits_never_differ_by_the_place_here_and_get_the_check_of_labels(rule: Rule) -> None:
    """So that the case above is one that a comparison of logits alone would take for row-invariant."""
    batch = 16
    rows = _rows(batch)
    found = [OddGraph(rule, batch), OddGraph(rule, batch)]
    for start in range(0, len(rows[0]), batch):
        kept = []
        for graph, turned in zip(found, (0, 1), strict=True):
            graph.inputs[0][:] = np.roll(rows[0][start : start + batch], turned, axis=0)
            logits = graph.logits()
            assert logits is not None
            kept.append(np.roll(logits, -turned, axis=0))
        assert kept[0].tobytes() == kept[1].tobytes()
    least, many = OddGraph(rule, batch), OddGraph(rule, batch)
    check_rows(least, rows, 2)
    check_rows(many, rows, 2, permutations=20)
    assert least.runs == many.runs  # more permutations would show nothing


def test_logits_are_coarse_where_fewer_than_half_of_the_rows_have_their_own() -> None:
    rows = np.arange(1000, dtype=np.float32).reshape(500, 2)
    assert not are_coarse(rows)
    assert not are_coarse(rows[np.arange(500) // 2])
    assert are_coarse(rows[np.minimum(np.arange(500), 248)])
    assert are_coarse(rows * np.float32(0))


@pytest.mark.parametrize("batch", [1, 2, 3, 16, 1000, 2048])
def test_every_kind_of_pass_compares_a_thousand_distinct_rows(batch: int) -> None:
    count = row_count(1000, batch)
    addresses = probe_addresses(count, batch, np.arange(40))
    assert len(np.unique(addresses, axis=0)) == count >= 1000
    first, second = addresses[:batch, 0], addresses[batch : 2 * batch, 0]
    assert len(set(first)) == 1
    assert len(set(second)) == min(batch, 40)
    assert (np.diff(addresses[:batch, 3]) == 1).all()  # as a request for many draws lies
    neighbours = other_neighbours(count, batch)
    for strangers in ({"elsewhere"}, {-1}, {-2}):
        kept = [layout for layout in neighbours if strangers == {_strangers(layout.order[~layout.compared])}]
        assert batch == 1 or sum(layout.compared.sum() for layout in kept) == count
    for layout in neighbours:
        assert np.array_equal(layout.order[layout.compared], np.arange(count)[layout.compared])
    places = list(other_places(count, batch, 3))
    assert len(places) == 3 + (batch > 1)
    assert all(np.array_equal(np.sort(layout.order), np.arange(count)) for layout in places)
    assert batch == 1 or (places[0].order % batch != np.arange(count) % batch).all()


def _strangers(order: NDArray[np.int64]) -> object:
    return "elsewhere" if not len(order) or order.min() >= 0 else int(order[0])


def test_permutations_stay_within_a_twentieth_of_the_run_but_for_the_least() -> None:
    assert permutations_for(0, 1024, has_logits=True) == 3
    assert permutations_for(2_000_000, 1024, has_logits=True) == 20
    assert permutations_for(200_000, 1024, has_logits=True) == 4
    assert permutations_for(200_000, 1024, has_logits=False) == 9


def test_a_check_that_takes_long_says_so_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter(range(1000))
    monkeypatch.setattr(row_progress, "monotonic", lambda: float(next(moments)))
    check_rows(OddGraph(minds_its_row, 256), _rows(256), 2)
    (said,) = caplog.messages
    assert said.startswith("checking that each row is classified by its own pixels alone: 44 batches of 256 rows, at")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return linear_plan(tmp_path / "plan", np.arange(6, dtype=np.float32), 0.5, SHAPE)


def _open(
    plan: Plan, graph: OddGraph, images: NDArray[np.uint8] = _IMAGES, *, keeps: bool = True, **options: bool
) -> Backend:
    def backend(info: object) -> HostBackend:
        return HostBackend(graph, noise_of_inputs(1, 0.5, 1, 1), info, 2, 4)  # type: ignore[arg-type]  # BackendInfo

    opened = Opened(graph=graph, hardware="a processor", backend=backend)
    chosen = BackendOptions(batch=16, probe_rows=64, **options)
    return checked_backend(opened, plan, 0.5, 1, chosen, images, np.arange(len(images)), keeps_check=keeps)


def test_a_result_is_cached_for_the_same_engine_and_images_only(plan: Plan) -> None:
    for _ in range(2):  # of a seed that somebody chose nothing is kept
        assert _open(plan, OddGraph(minds_its_row, 16), keeps=False).row_check == "run"
    assert _open(plan, OddGraph(minds_its_row, 16)).row_check == "run"
    graph = OddGraph(minds_its_row, 16)
    again = _open(plan, graph)
    assert (again.row_check, again.info.placement, again.info.probed) == ("cached", "row_invariant", "logits")
    assert graph.runs == 0
    assert _open(plan, OddGraph(minds_its_row, 16), _IMAGES[::-1].copy()).row_check == "run"
    assert _open(plan, OddGraph(minds_its_row, 16), repeat_check=True).row_check == "run"
    with pytest.raises(CheckError):  # asked again, the graph is looked at again
        _open(plan, OddGraph(RULES["first row"], 16), repeat_check=True)


def test_a_graph_that_minds_batches_of_one_image_alone_is_refused_whichever_image_it_spares(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It spares the first eight images, two of which the row check shows in batches of their own, and all mixtures."""
    bright = np.array([image >= 8 and image % 2 == 0 for image in range(30)])
    images = np.where(bright[:, None, None, None], 255, 0).astype(np.uint8) * np.ones((1, *SHAPE), np.uint8)

    def minds_a_bright_batch(rows: NDArray[np.float32], logits: NDArray[np.float32], _: int) -> NDArray[np.float32]:
        # Extreme rows, which the check puts beside others, are brighter than any image.
        return logits + (200 < rows.mean() < 400) * np.array([1, 0], np.float32)

    monkeypatch.setattr(row_probe.secrets, "SystemRandom", lambda: random.Random(1))
    for keeps in (True, False):
        with pytest.raises(CheckError, match="changes with the rows beside it"):
            _open(plan, OddGraph(minds_a_bright_batch, 16), images, keeps=keeps)


def test_batches_of_images_alone_are_drawn_anew_each_time(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_probe.secrets, "SystemRandom", lambda: random.Random(1))  # the same images
    probe = RowProbe(plan=plan, sigma=0.5, images=_IMAGES, indices=np.arange(30), batch=16, threads=1)
    once, again = (next(probe.rows_of_images(3))[0] for _ in range(2))
    assert once.shape == again.shape == (48, *SHAPE)
    assert (once != again).mean() > 0.9


@pytest.mark.parametrize(("expected", "checked"), [(0, 8), (1_010_000, 49), (10**9, 100)])
def test_batches_of_images_alone_stay_within_a_twentieth_of_the_run(expected: int, checked: int) -> None:
    assert images_to_check(expected, 100, 256, has_logits=True) == checked
    assert images_to_check(expected, 5, 256, has_logits=True) == 5


@pytest.mark.parametrize("forgery", ["content", "tag", "other file", "another machine"])
def test_a_forged_result_is_not_believed(plan: Plan, forgery: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here: that a graph which looks at the place is row-invariant."""
    assert _open(plan, OddGraph(minds_its_row, 16)).row_check == "run"
    (path,) = (plan.directory / "cache").glob("sigma-0.5-rows-*.json")
    if forgery == "content":
        path.write_text(path.read_text().replace("logits", "labels"))
    elif forgery == "tag":
        tag_path(path).unlink()
    elif forgery == "another machine":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(plan.directory.parent / "elsewhere"))
    else:  # this machine's true result of other images under the name of these
        kept = (path.read_bytes(), tag_path(path).read_bytes())
        other = path.with_name("other.json")
        other.write_bytes(kept[0])
        tag_path(other).write_bytes(kept[1])
        path.unlink()
        tag_path(path).unlink()
        other.rename(path)
        tag_path(other).rename(tag_path(path))
        tag_path(path).write_bytes(kept[1][:-66] + b" " + b"f" * 64 + b"\n")
    with pytest.raises(CheckError):
        _open(plan, OddGraph(RULES["first row"], 16))


def test_a_plan_that_cannot_be_written_to_is_checked_each_time(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    (plan.directory / "cache").write_text("a file where the folder would be")
    assert [_open(plan, OddGraph(minds_its_row, 16)).row_check for _ in range(2)] == ["run", "run"]


def test_an_interrupted_check_ends_at_the_next_batch_and_keeps_nothing(plan: Plan) -> None:
    before, runs = signal.signal(signal.SIGINT, signal.default_int_handler), []  # a job in the background ignores it

    def interrupting(rows: NDArray[np.float32], logits: NDArray[np.float32], number: int) -> NDArray[np.float32]:
        runs.append(number)
        if number == 5:
            signal.raise_signal(signal.SIGINT)
        return logits

    graph = OddGraph(interrupting, 16)
    try:
        with pytest.raises(KeyboardInterrupt):
            _open(plan, graph)
    finally:
        signal.signal(signal.SIGINT, before)
    assert graph.is_closed
    assert max(runs) == 5
    assert not (plan.directory / "cache").exists()
    assert replace(_open(plan, OddGraph(minds_its_row, 16)).info).placement == "row_invariant"
