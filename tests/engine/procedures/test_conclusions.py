"""What a line's counts amount to is what the procedure that drew them returned."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from purecert.engine.errors import InputError
from purecert.engine.noise.contract import ESTIMATE
from purecert.engine.procedures.choosing import procedure_for
from purecert.engine.procedures.conclusions import Ended, Votes, conclude, conclude_all
from purecert.engine.procedures.drawing import Counts
from purecert.engine.procedures.outcomes import Outcome
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec

_CERTIFY = SmoothingSpec(mode="certify", sigma=0.5, n_select=20, n_estimate=300, alpha=1e-3)
_RADII = StopSpec(rule="radii", radii=(0.0, 0.25, 0.5), alpha_final=5e-4)
_SPECS = {
    "fixed": _CERTIFY,
    "radii": replace(_CERTIFY, stop=_RADII),
    "radii of a label": replace(_CERTIFY, stop=_RADII, against_label=True),
    "tolerance": replace(_CERTIFY, stop=StopSpec(rule="tolerance", tolerance=0.2)),
    "predict": replace(_CERTIFY, mode="predict"),
    "predict early": replace(_CERTIFY, mode="predict", stop=StopSpec(rule="answer")),
    "predict likely": replace(_CERTIFY, mode="predict", stop=StopSpec(rule="answer", least_chance=1e-3)),
}
_IMAGES = ((0.99, 0.01, 0, 0), (0.8, 0.1, 0.1, 0), (0.5, 0.5, 0, 0), (0.2, 0.5, 0.2, 0.1), (0, 0, 0, 1))
_TV = 1e-9


def _run(
    spec: SmoothingSpec, image: tuple[float, ...], generator: np.random.Generator
) -> tuple[Outcome, list[Counts], int]:
    procedure, phases, looks = procedure_for(spec, _TV, 0), dict[int, Counts](), 0
    ask = next(procedure)
    while True:
        counts = generator.multinomial(ask.count, image)
        phases[ask.phase] = phases.get(ask.phase, 0) + counts
        looks += ask.phase == ESTIMATE
        try:
            ask = procedure.send(counts)
        except StopIteration as end:
            return end.value, [phases[phase] for phase in sorted(phases)], looks


def _ended(phases: list[Counts], looks: int | None) -> Ended:
    votes = [Votes({i: int(n) for i, n in enumerate(counts[:-1]) if n}, int(counts[-1])) for counts in phases]
    return Ended(phases=votes, classes=len(phases[0]) - 1, label=0, looks=looks)


@pytest.mark.parametrize("mode", _SPECS)
def test_every_outcome_follows_from_its_counts(mode: str) -> None:
    generator = np.random.default_rng(11)
    for image in _IMAGES:
        for _ in range(3):
            outcome, phases, _ = _run(_SPECS[mode], image, generator)
            assert conclude(_SPECS[mode], _TV, phases, 0) == outcome


@pytest.mark.parametrize("mode", _SPECS)
def test_many_images_at_once_are_concluded_as_each_alone_with_their_looks(mode: str) -> None:
    generator, spec = np.random.default_rng(12), _SPECS[mode]
    ends = [_run(spec, image, generator) for image in (*_IMAGES, (1, 0, 0, 0), (0, 1, 0, 0)) for _ in range(3)]
    ended = [_ended(phases, looks) for _, phases, looks in ends]
    assert conclude_all(spec, _TV, ended) == [outcome for outcome, _, _ in ends]


@pytest.mark.parametrize("mode", _SPECS)
def test_looks_that_no_draws_can_have_had_are_refused(mode: str) -> None:
    spec, generator = _SPECS[mode], np.random.default_rng(13)
    _, agreeing, exactly = _run(spec, (1, 0, 0, 0), generator)
    _, mixed, _ = _run(spec, (0.6, 0.4, 0, 0), generator)
    wrong = [(agreeing, exactly - 1), (agreeing, exactly + 1), (mixed, -1), (mixed, 300), (mixed, 10**400)]
    wrong += [(mixed, 1)] if spec.stop is not None else [(mixed, 2)]
    for found in conclude_all(spec, _TV, [_ended(phases, looks) for phases, looks in wrong]):
        assert isinstance(found, str)
        assert "looks" in found


@pytest.mark.parametrize("draws", [252, 300])
def test_draws_that_all_agree_end_where_their_rule_ends(draws: int) -> None:
    spec = _SPECS["radii"]
    _, (selected, estimated), looks = _run(spec, (1, 0, 0, 0), np.random.default_rng(14))
    assert estimated.sum() < draws
    (found,) = conclude_all(spec, _TV, [_ended([selected, np.array([draws, 0, 0, 0])], looks)])
    assert isinstance(found, str)
    assert f"expected {estimated.sum()} draws and {looks} looks, since all agree, found {draws} draws" in found


@pytest.mark.parametrize(
    ("mode", "phases"),
    [
        ("fixed", [[20, 0, 0], [299, 0, 0]]),
        ("fixed", [[20, 0, 0]]),
        ("radii", [[20, 0, 0], [5, 0, 0]]),  # nothing is settled after five draws
        ("radii", [[20, 0, 0], [301, 0, 0]]),
        ("radii", [[20, 0, 0]]),
        ("radii", [[19, 0, 0], [300, 0, 0]]),
        ("radii", [[0, 0, 20], [300, 0, 0]]),  # no draw was valid, so none may follow
        ("radii of a label", [[20, 0, 0], [300, 0, 0]]),
        ("radii of a label", []),
        ("tolerance", [[20, 0, 0], [20, 0, 0]]),
        ("predict", [[20, 0, 0], [300, 0, 0]]),
        ("predict early", [[20, 0, 0], [5, 0, 0]]),
        ("predict early", [[300, 0, 0]]),
        ("predict early", [[20, 0, 0], [75, 75, 0]]),  # where it is given up if it may be
        ("predict likely", [[20, 0, 0], [20, 20, 0]]),
    ],
)
def test_counts_that_no_procedure_ends_with_are_refused(mode: str, phases: Any) -> None:
    with pytest.raises(InputError, match="draws per phase"):
        conclude(_SPECS[mode], _TV, [np.array(counts) for counts in phases], 0)


def test_more_radii_than_can_be_tested_at_every_look_are_refused() -> None:
    with pytest.raises(InputError, match="expected at most 1000 radii to stop at, got 1001"):
        StopSpec(rule="radii", radii=tuple(radius / 1000 for radius in range(1001)))
