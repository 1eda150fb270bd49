"""The block for a model card is read by Hugging Face's own parser, and says what the run does, rounded down."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from purecert.engine.api.run_result import RunResult
from purecert.engine.errors import InputError
from purecert.engine.records.run import Run
from purecert.engine.reports.asked.model_card import model_card
from purecert.engine.reports.summary import summarise
from support.written_runs import mixed_run, written_record, written_run

_RHO = 1e-3


def _card(text: str) -> Any:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    return hub.ModelCard(text)


def _run(name: str = "run", **changes: Any) -> Run:
    run = mixed_run([0.3, 0.5, 0.6], wrong=[0.9], abstained=2)
    return replace(run, directory=Path(name), record=written_record(6, **changes))


def test_hugging_faces_parser_finds_every_metric() -> None:
    run = _run(alpha=1e-5, n=100_000)
    text = model_card([run], 'purecert/resnet: a "test" #1 ü', [0.5, 0.0, 0.25], _RHO)
    card = _card(text)
    assert card.data.model_name == 'purecert/resnet: a "test" #1 ü'
    found = {result.metric_args.get("radius"): result for result in card.data.eval_results}
    assert [found[radius].metric_value for radius in (0.0, 0.25, 0.5)] == [0.5, 0.5, 0.333]
    assert {result.metric_type for result in found.values()} == {"certified_accuracy", "average_certified_radius"}
    assert found[0.5].metric_name == "certified accuracy at L2 radius 0.5, sigma 0.5"
    points = {point.radius: point.images_at_least for point in summarise(run, [0.5], _RHO).certified_at}
    assert found[0.5].metric_args["at_least"] == int(points[0.5] * 1000 / 6) / 1000
    assert found[None].metric_value == 0.2333  # (.3 + .5 + .6) / 6, rounded down
    told = {name: found[0.0].metric_args[name] for name in ("sigma", "n0", "n", "alpha", "images", "seed")}
    assert told == {"sigma": 0.5, "n0": 100, "n": 100_000, "alpha": 1e-5, "images": 6, "seed": str(2**64 - 1)}
    data = found[0.0]
    assert (data.dataset_type, data.dataset_name, data.dataset_split) == ("digits", "digits:test", "test")
    assert "## Certified robustness" in card.text
    assert "| r >= 0.5 |" in card.text
    card.data.to_yaml()  # and writes it again


def test_the_marks_of_a_run_go_with_its_metrics() -> None:
    run = _run()
    marked = replace(run, record=replace(run.record, seed_given=True, parity_reduced=True))
    (result, *_) = _card(model_card([marked], "m", [0.25], _RHO)).data.eval_results
    assert result.metric_args["marks"] == list(summarise(marked).marks)
    assert any("seed given" in mark for mark in result.metric_args["marks"])


def test_several_runs_are_metrics_of_one_card() -> None:
    runs = [_run("first"), _run("second", sigma=1.0)]
    results = _card(model_card(runs, "m", [0.25], _RHO)).data.eval_results
    assert {result.metric_args["sigma"] for result in results} == {0.5, 1.0}
    assert len(results) == 4


def test_hostile_names_stay_text() -> None:
    run = _run()
    data = replace(run.record.data, name='npz:x"\n---\nlicense: mit\u2028')
    (result, *_) = _card(
        model_card([replace(run, record=replace(run.record, data=data))], "m", [0.25], _RHO)
    ).data.eval_results
    assert (result.dataset_type, result.dataset_split) == ("npz", None)
    assert result.dataset_name == r'npz:x"\n---\nlicense: mit\u2028'


def test_what_has_no_certified_accuracy_has_no_card() -> None:
    with pytest.raises(InputError, match="--model-card: expected a certification run of labelled images"):
        model_card([written_run(Path("run"), (), written_record(1))], "m", [0.25], _RHO)
    with pytest.raises(InputError, match="--model-card: expected a certification run of labelled images, at a radius"):
        model_card([_run()], "m", [], _RHO)
    for name in ("", "a\nb"):
        with pytest.raises(InputError, match="--model-card: expected the model's name on one line"):
            model_card([_run()], name, [0.25], _RHO)
    with pytest.raises(InputError, match=r"^model_card: expected the model's name"):
        RunResult(_run()).model_card("")
    assert RunResult(_run()).model_card("m", [0.25]) == model_card([_run()], "m", [0.25], _RHO)
