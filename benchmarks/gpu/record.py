"""The record of a step: what was run, where, with which versions, and its numbers."""

import json
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from gpu.setting import Setting
from gpu.toolkit import find_tool

import purecert
from purecert.engine.files.canonical import write_atomically
from purecert.engine.hardware import available_threads, describe_cpu


def write_record(setting: Setting, step: str, numbers: dict[str, Any]) -> None:
    """Write RESULTS/<step>.json: a head that tells two machines' results apart, and ``numbers``."""
    head = {
        "step": step,
        "command": f"benchmarks/gpu.sh {step}",
        "dry_run": setting.is_dry_run,
        "commit": _commit(setting),
        "hardware": {"cpu": describe_cpu(), "processors": available_threads(), "gpu": _gpu()},
        "versions": _versions(),
    }
    setting.results.mkdir(parents=True, exist_ok=True)
    content = json.dumps(head | numbers, indent=1, allow_nan=False)
    write_atomically(setting.results / f"{step}.json", f"{content}\n".encode())


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    for cells in (headings, ["---"] * len(headings), *rows):
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def _commit(setting: Setting) -> str:
    """Return the checkout's commit, with a plus where more than results differ; a copy of the files alone has none."""
    commit = _output("git", "rev-parse", "HEAD")
    if commit is None:
        return setting.commit
    return commit + ("+" if _output("git", "status", "--porcelain", "--", ".", ":!benchmarks/results") else "")


def _gpu() -> dict[str, Any] | None:
    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "name": properties.name,
        "architecture": f"sm_{properties.major}{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory_bytes": properties.total_memory,
        "driver": _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader") or "unknown",
    }


def _versions() -> dict[str, str | None]:
    nvcc = re.search(r"release .*", _output(find_tool("nvcc") or "nvcc", "--version") or "")
    cudnn = torch.backends.cudnn.version() if torch.cuda.is_available() else None  # type: ignore[no-untyped-call]
    return {
        "purecert": purecert.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),
        "triton": _installed("triton"),
        "numpy": _installed("numpy"),
        "nvcc": nvcc[0] if nvcc else None,
    }


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _output(*command: str) -> str | None:
    """Return what ``command`` prints, None where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
