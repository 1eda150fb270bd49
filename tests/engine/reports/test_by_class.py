"""Shares by class add up to the run's, and bear the plan's names while the plan is the run's."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from purecert.engine.api.run_result import RunResult
from purecert.engine.errors import InputError
from purecert.engine.plans.plan import write_plan
from purecert.engine.procedures.outcomes import Abstention, Certificate, Prediction
from purecert.engine.records.lines import Line
from purecert.engine.records.run import Run
from purecert.engine.reports.asked.by_class import by_class, by_class_json, by_class_text
from purecert.engine.reports.summary import summarise
from purecert.engine.reports.text import markdown_table, radius_text
from support.records import PLAN, RUN
from support.written_runs import written_record, written_run

_NAMES = (*(f"name {place}" for place in range(9)), "a|b")


def _line(index: int, label: int | None, predicted: int | None, radius: float = 0.3) -> Line:
    outcome = Abstention() if predicted is None else Certificate(predicted=predicted, p_lower=0.9, radius=radius)
    return Line(index=index, label=label, outcome=outcome, counts=({"0": 100}, {"0": 1000}))


_ROWS = [
    *(_line(0, 2, 2), _line(1, 2, 2, radius=0.6), _line(2, 2, 5), _line(3, 2, 1), _line(4, 2, None)),
    *(_line(5, 9, 9), _line(6, 9, 2), _line(7, 9, 2)),
    _line(8, 0, None),
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a run of three classes, beside the plan that it names."""
    (tmp_path / "plan").mkdir()
    plan = write_plan(tmp_path / "plan", replace(PLAN, classes=10, class_names=_NAMES))
    (tmp_path / "run").mkdir()
    sources = {"plan": str(tmp_path / "plan"), "data": "digits:test", "data_dir": None}
    (tmp_path / "run" / "invocation.json").write_text(json.dumps(sources))
    return written_run(tmp_path / "run", _ROWS, replace(written_record(len(_ROWS)), plan=plan.digest))


def test_each_class_is_counted_by_itself_under_its_name(run: Run) -> None:
    found = by_class(run, [0.5, 0.25, 0.25])
    assert (found.run, found.radii, found.names_unknown) == ("run", (0.25, 0.5), "")
    told = [(c.label, c.name, c.images, c.correct, c.abstained, c.certified_at, c.taken_for) for c in found.classes]
    assert told == [
        (0, "name 0", 1, 0, 1, (0, 0), None),
        (2, "name 2", 5, 2, 1, (2, 1), 1),  # of two wrong classes as often, the lowest
        (9, "a|b", 3, 1, 0, (1, 0), 2),
    ]
    points = summarise(run, found.radii).certified_at
    assert [sum(c.certified_at[i] for c in found.classes) for i in range(2)] == [point.images for point in points]
    text = by_class_text(run, found)
    assert "| 2 name 2 | 1 name 1  |      5 |    40.0 % |   20.0 % |    20.0 % |" in text
    assert "| 9 a\\|b   | 2 name 2" in text
    assert "few images each" in text
    assert json.loads(by_class_json(found))["by_class"]["classes"][1]["taken_for_name"] == "name 1"
    assert RunResult(run).class_names == _NAMES
    frame = RunResult(run).to_pandas()
    assert frame["predicted_name"].dropna().tolist()[:5] == ["name 2", "name 2", "name 5", "name 1", "a|b"]
    assert frame["label_name"].tolist()[5] == "a|b"


def test_names_are_of_the_runs_own_plan_only(run: Run, tmp_path: Path) -> None:
    """A plan that was replaced may call its classes otherwise."""
    write_plan(tmp_path / "plan", replace(PLAN, classes=10, class_names=_NAMES[::-1]))
    found = by_class(run, [0.25])
    assert {one.name for one in found.classes} == {None}
    assert "plan is not the run's plan any more" in found.names_unknown
    assert "| 2     | 1" in by_class_text(run, found)
    assert "numbers alone: " in by_class_text(run, found)
    assert RunResult(run).class_names == ()
    (tmp_path / "plan" / "plan.json").unlink()
    assert "the run's plan is not at hand" in by_class(run, [0.25]).names_unknown


def test_a_plan_without_names_and_data_of_more_classes_give_numbers(run: Run, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan", replace(PLAN, classes=10, class_names=()))
    named = replace(run, record=replace(run.record, plan=plan.digest))
    assert by_class(named, [0.25]).names_unknown == "the plan has no names of classes"
    beyond = replace(run, lines=(_line(0, 12, 2),))
    assert by_class(beyond, [0.25]).classes[0].name is None


def test_a_prediction_run_has_an_accuracy_by_class(run: Run) -> None:
    rows = [replace(row, outcome=Prediction(predicted=2, p_value=1e-9)) for row in _ROWS]
    record = replace(run.record, spec=replace(RUN.spec, mode="predict"))
    found = by_class(replace(run, lines=tuple(rows), record=record), [0.25])
    assert found.radii == ()
    assert [(one.correct, one.images) for one in found.classes] == [(0, 1), (5, 5), (0, 3)]
    assert "| accuracy |" in by_class_text(run, found)


def test_a_run_without_labels_has_no_classes(run: Run) -> None:
    with pytest.raises(InputError, match="--by-class: expected a run of labelled images, found one without labels"):
        by_class(replace(run, lines=(_line(0, None, 2),)), [0.25])
    with pytest.raises(InputError, match="--radii: expected radii of at least 0"):
        by_class(run, [-1.0])


def test_a_bar_in_a_cell_ends_no_cell_and_a_radius_is_not_rounded_up() -> None:
    """A backslash before the bar must not take its escape away."""
    (*_, line) = markdown_table([["name", "n"], ["cat\\| 99.9 %", "1"]])
    assert line.startswith(r"| cat\\\| 99.9 % |")
    assert [radius_text(radius) for radius in (0.49999999999999, 0.1, 1.0)] == ["0.49999999999999", "0.1", "1"]
