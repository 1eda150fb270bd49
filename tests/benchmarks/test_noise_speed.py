"""The benchmark of the noise kernel: what it measures, and how it counts instructions."""

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
_ROUNDS = 2

pytest.importorskip("purecert._kernels", reason="the native module is not built", exc_type=ImportError)


@pytest.mark.nightly
def test_every_path_and_type_is_measured_beside_the_expression(tmp_path: Path) -> None:
    from purecert import _kernels

    out = tmp_path / "noise.json"
    command = [sys.executable, str(_BENCHMARKS / "noise.py"), "--out", str(out), "--rows", "8"]
    done = subprocess.run([*command, "--rounds", str(_ROUNDS)], capture_output=True, text=True, check=False)
    # So few rows may miss the targets, which is then the one thing that is said of them.
    assert done.returncode == 0 or "expected at least" in done.stderr, done.stderr
    record = json.loads(out.read_text())
    measured = {(row["name"], row["output"]) for row in record["measured"]}
    assert {(path, kind) for path in _kernels.paths() for kind in ("int16", "float16", "float32")} <= measured
    assert ("x + sigma * torch.randn_like(x)", "float32") in measured
    assert all(row["seconds"]["least"] <= row["seconds"]["median"] for row in record["measured"])
    assert {"command", "commit", "hardware", "versions"} <= set(record)


@pytest.mark.skipif(
    shutil.which("g++") is None or platform.machine() != "x86_64", reason="counts what g++ makes for x86-64"
)
@pytest.mark.parametrize(("path", "values"), [("avx2", 32), ("avx512", 64)])
def test_the_loop_has_the_multiplications_of_ten_rounds(
    path: str, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(_BENCHMARKS))
    from noise_instructions import count_loop

    loop = count_loop(path)
    assert loop is not None
    assert loop.values == values
    # Two products a round for each of two vectors; what is equal in all blocks may be multiplied once for all.
    assert 36 <= loop.multiplications <= 40
    assert loop.multiplications + loop.gathers < loop.instructions < 12 * values
