"""Which packages and tools the steps need, and which of them are missing. Uses nothing but the standard library.

python -m gpu.check_image            # look for everything, print a table; exit 1 where something is missing
python -m gpu.check_image PART...    # only look whether the packages of these parts are there
"""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

from gpu.toolkit import find_tool

# What a step needs beside the parts before it. Names to import; those of the packages differ by - and _ only.
PARTS: Mapping[str, Sequence[str]] = {
    "build": ("nanobind",),
    "run": ("torch", "numpy", "scipy", "click", "mpmath", "jaxtyping"),
    "export": ("onnx", "onnxscript", "transformers"),
    "bench": ("matplotlib",),
}
# What the steps of other backends need; such a step is skipped where the doctor cannot use its backend.
OPTIONAL: Mapping[str, Sequence[str]] = {
    "backend-tensorrt": ("tensorrt", "pycuda"),
    "backend-tensorrt-rtx": ("tensorrt_rtx_bindings", "pycuda"),
    "backend-onnxruntime-cuda": ("onnxruntime", "pycuda"),
    "backend-onnxruntime-tensorrt": ("onnxruntime", "tensorrt", "pycuda"),
}
# ONNX Runtime's builds share one module; a copy in WORK/site, where WHEELS goes, is found before any other.
_GPU_RUNTIME = "onnxruntime-gpu"
_MARK = "lacks: "


def main() -> None:
    """Check the parts named, or everything."""
    parts = sys.argv[1:]
    if parts:
        missing = [name for part in parts for name in PARTS[part] if importlib.util.find_spec(name) is None]
    else:
        missing = _table()
    if missing:
        print(f"missing: {' '.join(missing)}; where there is a network, run: {_download(missing)}", file=sys.stderr)
    tools = [] if parts else _tools()
    if tools:
        print(f"missing: {', '.join(tools)}; the table says which steps need them", file=sys.stderr)
    # A dry run needs no GPU, and its build says what else it lacks.
    is_dry_run = os.environ.get("PURECERT_DRY_RUN") == "1"
    sys.exit(1 if missing or (tools and not is_dry_run) else 0)


def _table() -> list[str]:
    """Print what is there, import it, and return what could not be imported."""
    print("| package | version | needed to | state |\n| --- | --- | --- | --- |")
    missing = []
    for part, names in PARTS.items():
        for name in names:
            lacking = _lacking(name)
            missing += [lacking] if lacking else []
            print(f"| {name} | {_version(name)} | {part} | {f'{lacking} is missing' if lacking else 'there'} |")
    _print_optional()
    print(f"Python {platform.python_version()} at {sys.executable}")
    return list(dict.fromkeys(missing))


def _print_optional() -> None:
    """Print which packages of other backends are there; nothing is imported, since the doctor tries them."""
    installed = packages_distributions()
    for name in dict.fromkeys(name for names in OPTIONAL.values() for name in names):
        steps = ", ".join(step for step, names in OPTIONAL.items() if name in names)
        packages = installed.get(name, [])
        if name == "onnxruntime":
            name, packages = _GPU_RUNTIME, [package for package in packages if package == _GPU_RUNTIME]
        state = "there" if packages else f"missing: {steps} will be skipped"
        print(f"| {name} | {_version(packages[0]) if packages else '-'} | {steps} | {state} |")


def _tools() -> list[str]:
    """Print where each tool is, and return those that a step cannot do without and that are missing."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    compiler = (os.environ.get("CXX") or "g++").split()[0]
    where = {
        "nvcc": ("build, compile", find_tool("nvcc")),
        "cmake": ("build", shutil.which("cmake")),
        "make or ninja": ("build", shutil.which("ninja") or shutil.which("make")),
        f"{compiler} (a C++ compiler)": ("build, compile", shutil.which(compiler)),
        "Python.h": ("build, compile", str(header) if header.exists() else None),
        "compute-sanitizer": ("sanitize", find_tool("compute-sanitizer")),
        "a GPU that PyTorch can use": ("all that follow", _gpu()),
    }
    print("\n| tool | needed to | state |\n| --- | --- | --- |")
    for tool, (steps, place) in where.items():
        print(f"| {tool} | {steps} | {place or 'missing'} |")
    print(f"| nvidia-smi | name the driver | {shutil.which('nvidia-smi') or 'missing, and no step fails without it'} |")
    return [tool for tool, (_, place) in where.items() if place is None]


def _gpu() -> str | None:
    """Return the GPU's name as PyTorch tells it; None without one, or without PyTorch."""
    code = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None


def _lacking(name: str) -> str | None:
    """Return what importing ``name`` asks for in vain, perhaps a need of its own; None where all is there."""
    code = f"""
try:
    import {name}
except ModuleNotFoundError as error:
    print("{_MARK}" + error.name.partition(".")[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:  # it is there, and broken: its own words are in the log
        print(done.stderr, file=sys.stderr)
        return name
    _, mark, lacking = done.stdout.rpartition(_MARK)
    return lacking.strip().replace("_", "-") if mark else None


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"


def _download(missing: Sequence[str]) -> str:
    """Return the command that fetches wheels for this Python on another machine."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    platforms = " ".join(f"--platform manylinux{tag}_{platform.machine()}" for tag in ("_2_28", "2014"))
    return (
        f"python3 -m pip download --no-deps --only-binary=:all: --python-version {python} {platforms} "
        f"--dest build/gpu/wheels {' '.join(missing)}"
    )


if __name__ == "__main__":
    main()
