"""Which packages the steps need, and which of them this Python lacks. Uses nothing but the standard library.

python -m gpu.check_image            # import every package, print a table; exit 1 where one is missing
python -m gpu.check_image PART...    # only look whether the packages of these parts are there
"""

import importlib.util
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

# What a step needs beside the parts before it. Names to import; those of the packages differ by - and _ only.
PARTS: Mapping[str, Sequence[str]] = {
    "build": ("nanobind",),
    "run": ("torch", "numpy", "scipy", "click", "mpmath", "jaxtyping"),
    "export": ("onnx", "onnxscript", "transformers"),
    "bench": ("matplotlib",),
}
_MARK = "lacks: "
_TOOLS = ("nvcc", "cmake", "nvidia-smi", "compute-sanitizer")


def main() -> None:
    """Check the parts named, or everything."""
    if parts := sys.argv[1:]:
        missing = [name for part in parts for name in PARTS[part] if importlib.util.find_spec(name) is None]
    else:
        missing = _table()
    if missing:
        print(f"missing: {' '.join(missing)}; where there is a network, run: {_download(missing)}", file=sys.stderr)
        sys.exit(1)


def _table() -> list[str]:
    """Print what is there, import it, and return what could not be imported."""
    print("| package | version | needed to | state |\n| --- | --- | --- | --- |")
    missing = []
    for part, names in PARTS.items():
        for name in names:
            lacking = _lacking(name)
            missing += [lacking] if lacking else []
            print(f"| {name} | {_version(name)} | {part} | {f'{lacking} is missing' if lacking else 'there'} |")
    for tool in _TOOLS:
        print(f"| {tool} | | | {'there' if shutil.which(tool) else 'not on the path'} |")
    print(f"Python {platform.python_version()} at {sys.executable}")
    return list(dict.fromkeys(missing))


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
