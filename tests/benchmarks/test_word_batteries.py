"""What ``make nightly`` does where a test battery is missing, where one is content, and where one finds a fault."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[2]
_NAME = "RNG_test"
_PROGRAM = """#!{python}
import sys
assert len(sys.stdin.buffer.read(1 << 20)) == 1 << 20, "expected a stream of words"
print("RNG_test using PractRand version 0.95")
print("length= 1 megabyte (2^20 bytes), time= 0.1 seconds")
print({verdict!r})
"""
_needs_compiler = pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler")


def _run(folder: Path, path: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code, and what the record says of PractRand where it is looked for along ``path``."""
    out = folder / "words.json"
    environment = os.environ | {"PATH": path, "PYTHONPATH": os.fspath(_ROOT / "tests")}
    command = [sys.executable, _ROOT / "benchmarks" / "word_batteries.py", out, "--battery", _NAME]
    done = subprocess.run(command, env=environment, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert out.exists(), done.stderr
    return done.returncode, json.loads(out.read_text())["batteries"][_NAME]


def test_a_battery_that_is_missing_is_skipped_with_the_reason(tmp_path: Path) -> None:
    folders = os.environ["PATH"].split(os.pathsep)
    path = os.pathsep.join(folder for folder in folders if not (Path(folder) / _NAME).exists())
    code, found = _run(tmp_path, path)
    assert code == 0
    assert "RNG_test is not on PATH" in found["skipped"]


@_needs_compiler
@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        pytest.param("  no anomalies in 130 test result(s)", 0, marks=pytest.mark.nightly),
        ("  BCFN(2+0,13-0,T)  R= +99.9  FAIL !!", 1),
    ],
)
def test_what_a_battery_says_is_kept_and_a_failure_of_it_is_one_of_ours(
    verdict: str, code: int, tmp_path: Path
) -> None:
    program = tmp_path / _NAME
    program.write_text(_PROGRAM.format(python=sys.executable, verdict=verdict))
    program.chmod(0o755)
    found_code, found = _run(tmp_path, os.pathsep.join((os.fspath(tmp_path), os.environ["PATH"])))
    assert found_code == code
    assert found["version"] == "0.95"
    assert found["failed"] == 3 * code  # on each stream
    assert verdict.strip() in [result["assessment"] for result in found["results"]]
