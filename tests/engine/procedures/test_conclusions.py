"""What a line's counts amount to is what the procedure that drew them returned."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from purecert.engine.errors import InputError
from purecert.engine.procedures.choosing import procedure_for
from purecert.engine.procedures.conclusions import conclude
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
}
_IMAGES = ((0.99, 0.01, 0, 0), (0.8, 0.1, 0.1, 0), (0.5, 0.5, 0, 0), (0.2, 0.5, 0.2, 0.1), (0, 0, 0, 1))
_TV = 1e-9


def _run(spec: SmoothingSpec, image: tuple[float, ...], generator: np.random.Generator) -> tuple[Outcome, list[Counts]]:
    procedure, phases = procedure_for(spec, _TV, 0), dict[int, Counts]()
    ask = next(procedure)
    while True:
        counts = generator.multinomial(ask.count, image)
        phases[ask.phase] = phases.get(ask.phase, 0) + counts
        try:
            ask = procedure.send(counts)
        except StopIteration as end:
            return end.value, [phases[phase] for phase in sorted(phases)]


@pytest.mark.parametrize("mode", _SPECS)
def test_every_outcome_follows_from_its_counts(mode: str) -> None:
    generator = np.random.default_rng(11)
    for image in _IMAGES:
        for _ in range(3):
            outcome, phases = _run(_SPECS[mode], image, generator)
            assert conclude(_SPECS[mode], _TV, phases, 0) == outcome


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
    ],
)
def test_counts_that_no_procedure_ends_with_are_refused(mode: str, phases: Any) -> None:
    with pytest.raises(InputError, match="draws per phase"):
        conclude(_SPECS[mode], _TV, [np.array(counts) for counts in phases], 0)
