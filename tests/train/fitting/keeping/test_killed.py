"""A training that was killed, wherever it was, goes on to the bits of one that was not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "support.killed_training", str(tmp_path), "8"]
    path = os.pathsep.join([str(Path(__file__).parents[3]), *sys.path])
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["is_whole"]
    assert said["killed_at_random"] == 8
    assert said["killed_at_writes"] >= 10  # two saves, and the log's beginning
