"""Where a result comes from: the head of every JSON under benchmarks/results/."""

import json
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from purecert.engine.hardware import available_threads, describe_cpu


def provenance(command: str, packages: Sequence[str]) -> dict[str, Any]:
    """Return command, commit, hardware and the versions of Python, purecert and ``packages``."""
    return {
        "command": command,
        "commit": describe_commit(),
        "hardware": f"{describe_cpu()}, {available_threads()} processors",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("purecert", *packages)},
    }


def write_result(path: Path, head: dict[str, Any], numbers: dict[str, Any]) -> None:
    """Write ``head`` and ``numbers`` as one JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(head | numbers, indent=1, allow_nan=False) + "\n")


def describe_commit() -> str:
    """Return the checkout's commit, with a plus where more than results differ from it."""
    here = Path(__file__).parent.parent
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    if head.returncode:
        return "unknown"
    status = ["git", "status", "--porcelain", "--", ".", ":!benchmarks/results"]
    changed = subprocess.run(status, cwd=here, capture_output=True, text=True, check=True).stdout
    return head.stdout.strip() + ("+" if changed else "")
