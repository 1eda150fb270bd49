"""engine-report on real runs: a fixed one and one that stops, with everything that can be asked for."""

import json
from pathlib import Path

import pytest

from support.commands import engine

_ARGUMENTS = ["--data", "digits:test[:12]", "--sigma", "0.5", "--n", "500", "--threads", "1", "--probe-rows", "256"]


@pytest.mark.slow
def test_everything_that_can_be_asked_for_is_reported(demo_plan: Path, tmp_path: Path) -> None:
    fixed, stopped = tmp_path / "fixed", tmp_path / "stopped"
    engine("certify", "--plan", demo_plan, "--out", fixed, *_ARGUMENTS).expect(0)
    mode = ["--mode", "tolerance", "--tolerance", "0.25", "--against-label"]
    engine("certify", "--plan", demo_plan, "--out", stopped, *_ARGUMENTS, *mode).expect(0)

    text = engine("report", fixed, stopped, "--bonferroni", "--best-sigma", "--radii", "0.25,0.5").expect(0).out
    for words in (
        "alpha 0.001 each",
        "all runs: the probability of any false claim at all",
        "stopped: class given: label; nothing is claimed of other classes",
        "stopped: mode tolerance: stops when the radius is within 0.25",
        "Bonferroni: alpha divided by the 24 images of all runs",
        "alpha 4.16667e-05 each",
        "| selected on the test set |",
        "| chosen on the other half |",
    ):
        assert words in text

    asked = engine("report", fixed, stopped, "--bonferroni", "--best-sigma", "--json", "--rho", "0.01").expect(0)
    first, second, shared, _, best = [json.loads(line) for line in asked.out.splitlines()]
    assert first["stopping"] is None
    assert second["stopping"]["rule"]["tolerance"] == 0.25
    assert second["draws"] < first["draws"]
    assert shared["alpha"] == 1e-3 / 24
    assert (best["best_sigma"]["images_held_out"], first["false_claims"]["rho"]) == (6, 0.01)
    card = engine("report", fixed, "--model-card", "a/b", "--radii", "0.25").expect(0).out
    assert card.startswith('---\nmodel-index:\n  - name: "a/b"\n')
    assert (
        "--model-card: expected no other form" in engine("report", fixed, "--model-card", "m", "--json").expect(2).err
    )
    by_class = engine("report", fixed, "--by-class", "--radii", "0.25").expect(0).out
    assert "| class " in by_class
    assert "| taken for |" in by_class
    told = json.loads(engine("report", fixed, "--by-class", "--json").expect(0).out.splitlines()[1])
    assert sum(one["images"] for one in told["by_class"]["classes"]) == 12
    assert "--rho: expected a probability in" in engine("report", fixed, "--rho", "1").expect(2).err
