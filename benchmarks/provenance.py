"""Where a result comes from: the head of every JSON under benchmarks/results/."""

import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from purecert.engine.hardware import available_threads, describe_cpu


def provenance(packages: Sequence[str], *, environment: str = "") -> dict[str, Any]:
    """Return the command that runs, commit, hardware and the versions of Python, purecert and ``packages``.

    Args:
        packages: Whose versions matter.
        environment: Variables that the command needs, as they stand before it.
    """
    return {
        "command": f"{environment} {_command()}".strip(),
        "commit": describe_commit(),
        "hardware": f"{describe_cpu()}, {available_threads()} processors",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("purecert", *packages)},
    }


def write_result(path: Path, head: dict[str, Any], numbers: dict[str, Any]) -> None:
    """Write ``head`` and ``numbers`` as one JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(head | numbers, indent=1, allow_nan=False) + "\n")


def _command() -> str:
    """Return this process's command line; of paths outside the checkout, which say nothing elsewhere, the last part."""
    arguments = [Path(each).name if each.startswith(("/", "..")) else each for each in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])


def describe_commit() -> str:
    """Return the checkout's commit, with a plus where more than results differ from it."""
    here = Path(__file__).parent.parent
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    if head.returncode:
        return "unknown"
    status = ["git", "status", "--porcelain", "--", ".", ":!benchmarks/results"]
    changed = subprocess.run(status, cwd=here, capture_output=True, text=True, check=True).stdout
    return head.stdout.strip() + ("+" if changed else "")
