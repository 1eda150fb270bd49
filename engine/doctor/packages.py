"""What is installed, read from the files of the packages: nothing is imported, so nothing can fail to load."""

import ast
import importlib.util
import re
from importlib import metadata
from pathlib import Path

from purecert.engine.doctor.machine import Packages

# Distributions that install the module onnxruntime; two of them at once overwrite each other's files.
ONNXRUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime-qnn")

_MODULES = ("onnxruntime", "openvino", "torch", "tensorrt", "tensorrt_rtx_bindings", "pycuda")
_TELLING = re.compile(r"(torch|openvino|pycuda|tensorrt.*|nvidia-(cuda-runtime|cudnn)(-cu\d+)?)$")


def read_packages() -> Packages:
    """Return what this Python would import, in the order of its path."""
    torch = _assigned("torch", "version.py")
    onnxruntime = _assigned("onnxruntime", "capi/build_and_package_info.py")
    return Packages(
        versions=_versions(),
        modules=frozenset(name for name in _MODULES if importlib.util.find_spec(name) is not None),
        onnxruntimes=_onnxruntimes(),
        onnxruntime_files=onnxruntime.get("package_name"),
        onnxruntime_cuda=onnxruntime.get("cuda_version"),
        torch_cuda=torch.get("cuda"),
    )


def _versions() -> dict[str, str]:
    versions: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = _normalised(distribution)
        if name in ONNXRUNTIMES or _TELLING.match(name):
            versions.setdefault(name, distribution.version)
    return dict(sorted(versions.items()))


def _onnxruntimes() -> tuple[str, ...]:
    """Return which distributions of ONNX Runtime have written into the folder that comes first on Python's path."""
    folders: dict[Path, set[str]] = {}
    for distribution in metadata.distributions():
        name = _normalised(distribution)
        if name in ONNXRUNTIMES:
            folders.setdefault(Path(str(distribution.locate_file(""))).resolve(), set()).add(name)
    first = next(iter(folders.values()), set())
    return tuple(name for name in ONNXRUNTIMES if name in first)


def _normalised(distribution: metadata.Distribution) -> str:
    """Return the name in its one spelling; an interrupted installation leaves folders without one."""
    if "Name" not in distribution.metadata:
        return ""
    return re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()


def _assigned(module: str, file: str) -> dict[str, str]:
    """Return the texts that a ``file`` beside a module's own assigns to names."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return {}
    path = Path(spec.origin).parent / file
    if not path.is_file():
        return {}
    texts: dict[str, str] = {}
    for statement in ast.parse(path.read_bytes()).body:
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        else:
            continue
        if isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
            texts |= {target.id: statement.value.value for target in targets if isinstance(target, ast.Name)}
    return texts
