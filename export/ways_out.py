"""What to do with a file that says no network, or says it in code: the lines that bring it into a plan."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from torch import Tensor

from purecert.engine.errors import InputError
from purecert.export.own_models import PYTHON
from purecert.train.readers.torch_files import read_torch

_LEGACY = b"\x80"  # of a pickle, which torch.save wrote before its zip format
_ALONE = "weights alone do not say which network they are of"


def way_out(path: Path) -> str:
    """Return what to do with a Python file, or with weights or modules that are no model.pt; empty for other files."""
    if path.suffix == ".py":
        return f"to run this file and take the module NAME from it, say {PYTHON}{path}:NAME"
    found = _lines(path)
    if found is None:
        return ""
    what, lines = found
    return (
        f"{what}: write a file, say own.py, with `{lines}`, and export python:own.py:net; or call "
        "purecert.export_module(net, ...)"
    )


def _lines(path: Path) -> tuple[str, str] | None:
    """Return what the file is, and the Python that makes ``net`` of it; None where it is none of these."""
    name = str(path)
    if path.suffix == ".safetensors" and path.is_file():
        load = f"load_file({name!r})"
        return _ALONE, f"from safetensors.torch import load_file; net = Net(); net.load_state_dict({load})"
    parts = _parts(path)
    if any(part.startswith("code/") for part in parts):
        what = "a TorchScript archive is code without a module"
        return what, f"net = Net(); net.load_state_dict(torch.jit.load({name!r}).state_dict())"
    if "data.pkl" not in parts and not _is_pickle(path):
        return None
    try:
        content = read_torch(path)
    except InputError:  # the message says what it holds
        what = "a module that torch.save pickled whole is code, which loading runs"
        return what, f"net = torch.load({name!r}, weights_only=False)"
    return _ALONE, f"net = Net(); net.load_state_dict(torch.load({name!r}){_key(content)})"


def _parts(path: Path) -> list[str]:
    try:
        with ZipFile(path) as archive:
            return [name.partition("/")[2] for name in archive.namelist()]
    except (OSError, BadZipFile):
        return []


def _is_pickle(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(1) == _LEGACY
    except OSError:
        return False


def _key(content: Any) -> str:
    """Return the look-up of a trainer's file that gives the weights: nothing where they lie at its top."""
    if not isinstance(content, Mapping) or any(isinstance(value, Tensor) for value in content.values()):
        return ""
    tables = [key for key, value in content.items() if isinstance(value, Mapping) and _holds_tensors(value)]
    return f"[{tables[0]!r}]" if tables else ""


def _holds_tensors(table: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in table.values())
