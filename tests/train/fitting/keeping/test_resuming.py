"""A training goes on to the bits of one that was never stopped, or says in one line why it cannot."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from purecert.engine.errors import InputError
from purecert.engine.records.run_directory import locked
from purecert.train.fitting.data import Augmentation
from purecert.train.fitting.draws import Batch
from purecert.train.fitting.loop import fit
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.optimizers import AdamW, Optimizer, Sgd
from purecert.train.fitting.session import PausedError, Session
from support.toy_training import PLAN, ToyObjective, toy_network, toy_objective, toy_sampler, train_toy

_TIMES = ("seconds", "samples_per_second")


def _log(folder: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (folder / "toy" / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in _TIMES} for line in lines]


def _assert_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("optimizer", [PLAN.optimizer, AdamW(weight_decay=0.1), Sgd(nesterov=True)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_in_slices_is_the_whole_one(tmp_path: Path, optimizer: Optimizer, precision: Any) -> None:
    plan = replace(PLAN, steps=8, optimizer=optimizer, precision=precision)
    whole = train_toy(Session(folder=tmp_path / "whole"), plan)
    sliced = tmp_path / "sliced"
    for step in range(1, plan.steps):  # one step a slice
        with pytest.raises(PausedError, match=f"the state after {step} steps is in {sliced / 'toy' / 'state.pt'}$"):
            train_toy(Session(folder=sliced).with_minutes(0.0), plan)
    _assert_equal(train_toy(Session(folder=sliced).with_minutes(0.0), plan), whole)
    assert _log(sliced) == _log(tmp_path / "whole")
    _assert_equal(train_toy(Session(folder=sliced), plan), whole)  # finished: nothing is left to do
    _assert_equal(train_toy(Session(), plan), whole)


class _Stopped(BaseException):
    pass


@pytest.mark.parametrize("step", [2, 7, 23, 39])  # before any save; between one and a report; and so on
def test_a_training_that_was_stopped_goes_on_from_its_last_save(tmp_path: Path, step: int) -> None:
    class Stopping(ToyObjective):
        def __call__(self, batch: Batch) -> Tensor:
            if batch.step == step:
                raise _Stopped
            return super().__call__(batch)

    whole = train_toy(Session(folder=tmp_path / "whole"))
    network, session = toy_network(), Session(folder=tmp_path / "stopped")
    plain = toy_objective(network)
    with pytest.raises(_Stopped):
        fit(network, Stopping(network=network, target=plain.target), PLAN, toy_sampler(), session)
    with (tmp_path / "stopped" / "toy" / "metrics.jsonl").open("a") as log:
        log.write('{"stage":"toy","st')  # as a crash leaves it
    _assert_equal(train_toy(session, replace(PLAN, save_every=5)), whole)  # how often is saved decides no weight
    assert _log(tmp_path / "stopped") == _log(tmp_path / "whole")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a training that was stopped."""
    folder = tmp_path_factory.mktemp("begun")
    with pytest.raises(PausedError):
        train_toy(Session(folder=folder, configuration={"width": 8}).with_minutes(0.0))
    return folder


def _again(folder: Path, plan: Fit = PLAN, configuration: Any = None, **sampler: Any) -> None:
    network, drawn = toy_network(), replace(toy_sampler(), **sampler)
    session = Session(folder=folder, configuration={"width": 8} if configuration is None else configuration)
    fit(network, toy_objective(network), plan, drawn, session)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"plan": replace(PLAN, steps=41)}, "fit.steps was 40 and is now 41"),
        ({"plan": replace(PLAN, clip=None)}, "fit.clip was 1.0 and is now None"),
        ({"plan": replace(PLAN, optimizer=AdamW())}, "fit.optimizer.kind was 'RAdam' and is now 'AdamW'"),
        ({"seed": 6}, "data.seed was 5 and is now 6"),
        ({"batch": 32}, "data.batch was 16 and is now 32"),
        ({"augmentation": Augmentation(turn=9.0)}, "data.augmentation.turn was 8.0 and is now 9.0"),
        ({"images": replace(toy_sampler().images, fingerprint="ab")}, "data.images was '' and is now 'ab'"),
        ({"configuration": {"width": 9}}, "recipe.width was 8 and is now 9"),
        ({"configuration": {"width": 8, "depth": 1}}, "recipe.depth is new"),
        ({"configuration": {}}, "recipe.width is gone"),
    ],
)
def test_another_configuration_is_refused_by_its_field(begun: Path, changed: dict[str, Any], said: str) -> None:
    before = (begun / "toy" / "state.pt").read_bytes()
    with pytest.raises(InputError, match=rf"state.pt: of another configuration: {said}; choose another folder"):
        _again(begun, **changed)
    assert (begun / "toy" / "state.pt").read_bytes() == before


def _without(content: dict[str, Any]) -> None:
    del content["module"]


def _misshapen_weight(content: dict[str, Any]) -> None:
    content["module"]["1.weight"] = torch.zeros(3, 3)


def _misshapen_moment(content: dict[str, Any]) -> None:
    content["optimizer"][0]["exp_avg"] = torch.zeros(1, 4)  # it would be broadcast


def _fewer_averages(content: dict[str, Any]) -> None:
    content["average"].pop()


def _misshapen_average(content: dict[str, Any]) -> None:
    content["average"][0] = torch.zeros(1, 4)


def _one_network_more(content: dict[str, Any]) -> None:
    content["kept"]["teacher"] = {}


def _text_for_a_loss(content: dict[str, Any]) -> None:
    content["tally"]["loss"] = "3"


def _step_out_of_range(content: dict[str, Any]) -> None:
    content["tally"]["step"] = -1


@pytest.mark.parametrize(
    "damage",
    [
        _without,
        _misshapen_weight,
        _misshapen_moment,
        _fewer_averages,
        _misshapen_average,
        _one_network_more,
        _text_for_a_loss,
        _step_out_of_range,
    ],
)
def test_a_state_that_does_not_fit_is_refused(begun: Path, tmp_path: Path, damage: Any) -> None:
    content = torch.load(begun / "toy" / "state.pt", weights_only=True)
    damage(content)
    (tmp_path / "toy").mkdir()
    torch.save(content, tmp_path / "toy" / "state.pt")
    with pytest.raises(
        InputError, match=r"state.pt: (expected a training's state|does not fit).*; move it away"
    ) as raised:
        _again(tmp_path)
    assert "\n" not in str(raised.value)


class _Code:
    def __reduce__(self) -> Any:
        return (print, ("run",))


def test_a_file_with_code_or_cut_short_is_refused(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, whole = tmp_path / "toy" / "state.pt", (begun / "toy" / "state.pt").read_bytes()
    state.parent.mkdir()
    torch.save({"schema": _Code()}, state)
    coded = state.read_bytes()
    for content in (coded, pickle.dumps(_Code()), whole[:-100], whole[: len(whole) // 2], b""):
        state.write_bytes(content)
        with pytest.raises(InputError, match=r"state\.pt"):
            _again(tmp_path)
    assert capsys.readouterr().out == ""


def test_two_trainings_cannot_write_to_one_folder(begun: Path) -> None:
    with locked(begun / "toy"), pytest.raises(InputError, match="another process is writing"):
        _again(begun)


def test_a_time_budget_needs_a_folder() -> None:
    with pytest.raises(InputError, match="needs a folder to go on from"):
        train_toy(Session().with_minutes(1.0))
