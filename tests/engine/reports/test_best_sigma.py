"""The best run per radius: marked where it is selected, unbiased where other images chose it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from purecert.engine.errors import InputError
from purecert.engine.procedures.spec import StopSpec
from purecert.engine.records.run import Run
from purecert.engine.reports.best_sigma import best_sigma, best_sigma_json, best_sigma_text
from purecert.engine.statistics.false_claims import false_claims
from support.records import with_spec
from support.written_runs import certified_row, written_record, written_run


def _run(sigma: float, radii: list[float]) -> Run:
    rows = [replace(certified_row(0, radius), index=20 * place) for place, radius in enumerate(radii)]
    return written_run(Path(f"run-{sigma}"), rows, written_record(len(rows), sigma=sigma))


def test_held_out_choice_sees_the_other_images_only() -> None:
    # On the 1st and 3rd image the second run is better, on the 2nd and 4th the first is.
    small, large = _run(0.25, [0.1, 0.9, 0.1, 0.9]), _run(1.0, [0.9, 0.1, 0.9, 0.1])
    best = best_sigma([small, large], (0.5,), rho=0.5)
    assert [(one.sigma, one.images) for one in best.held_out] == [(1.0, 0)]
    assert [(one.sigma, one.images) for one in best.on_test_set] == [(0.25, 2)]  # of equals the first
    assert (best.images, best.images_held_out) == (4, 2)


def test_each_radius_has_its_own_best() -> None:
    best = best_sigma([_run(0.25, [0.4] * 4), _run(1.0, [0.0, 1.0] * 2)], (0.25, 0.75))
    assert [one.sigma for one in best.on_test_set] == [0.25, 1.0]


def test_selection_on_the_same_images_shares_rho_among_the_runs() -> None:
    runs = [_run(sigma, [0.5] * 600) for sigma in (0.25, 0.5, 1.0)]
    best = best_sigma(runs, (0.25,), rho=0.01)
    assert best.on_test_set[0].images_at_least == 600 - false_claims(600, 1e-3, 0.01 / 3).number_at_most
    assert best.held_out[0].images_at_least == 300 - false_claims(300, 1e-3, 0.01).number_at_most


def test_selected_row_is_marked_and_the_other_beside_it() -> None:
    best = best_sigma([_run(0.25, [0.4] * 4), _run(1.0, [1.0] * 4)], (0.25,))
    text = best_sigma_text(best)
    assert "| selected on the test set | certified |      4 |   100.0 % |" in text
    assert "| chosen on the other half | certified |      2 |   100.0 % |" in text
    assert "too good for images to come" in text
    assert json.loads(best_sigma_json(best))["best_sigma"]["runs"] == 2


def test_runs_of_other_images_have_no_best() -> None:
    with pytest.raises(InputError, match="expected runs of the same two or more images"):
        best_sigma([_run(0.25, [0.4] * 4), _run(1.0, [1.0] * 3)], (0.25,))
    other = _run(1.0, [1.0] * 4)
    moved = replace(other, record=replace(other.record, data=replace(other.record.data, fingerprint="e" * 64)))
    with pytest.raises(InputError, match="expected runs of the same two or more images"):
        best_sigma([_run(0.25, [0.4] * 4), moved], (0.25,))
    predicting = replace(other, record=with_spec(other.record, mode="predict"))
    with pytest.raises(InputError, match="expected certification runs of labelled images"):
        best_sigma([predicting], (0.25,))


def test_radii_that_a_run_does_not_stop_at_are_marked() -> None:
    stop = StopSpec(rule="radii", radii=(0.25,), alpha_final=5e-4)
    runs = [
        replace(run, record=with_spec(run.record, stop=stop)) for run in (_run(0.25, [0.4] * 4), _run(1.0, [1.0] * 4))
    ]
    best = best_sigma(runs, (0.1, 0.25))
    assert [chosen.is_settled for chosen in best.on_test_set] == [False, True]
    assert "%* |" in best_sigma_text(best)
    assert "*: not what the run stops at" in best_sigma_text(best)
