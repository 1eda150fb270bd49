"""The picture of stopping early: its numbers, on a log of two images."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_PROGRAM = Path(__file__).parents[2] / "benchmarks" / "early_stopping_picture.py"
# Every draw of the first image succeeded (0.5 * 3.8115); the second abstained, so it is taken for a coin.
_ROWS = ["idx\tlabel\tpredict\tradius\tcorrect\ttime", "0\t1\t1\t1.91\t1\t1.0", *["1\t1\t-1\t0.0\t0\t1.0"] * 10]


def test_numbers_and_picture_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log.tsv"
    log.write_text("\n".join(_ROWS) + "\n")
    command = [sys.executable, str(_PROGRAM), str(log), str(tmp_path / "out")]
    subprocess.run(command, check=True, capture_output=True)
    result = json.loads((tmp_path / "out" / "early-stopping.json").read_text())
    draws = result["draws"]
    # Every tenth image: the sure one and a coin. The fixed mode takes n0 + n of both.
    assert result["images"] == 2
    assert draws["fixed n"] == {"mean": 100_100, "standard_error": 0, "median": 100_100}
    assert draws["one radius (0.5)"]["mean"] < 300  # of a coin Phi(1) is refuted soon, of a sure image certified
    assert draws["one radius (0.5)"]["mean"] < draws["five radii (0 to 1)"]["mean"] < 100_100
    assert (tmp_path / "out" / "early-stopping.png").stat().st_size > 10_000
