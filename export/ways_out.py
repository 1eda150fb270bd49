"""What to do with a file that says no network, or says it in code: the lines that bring it into a plan."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from purecert.engine.errors import InputError
from purecert.export.own_models import PYTHON
from purecert.train.importing.plain_weights import keys_of_weights
from purecert.train.readers.opened import HoldsCodeError
from purecert.train.readers.torch_files import read_torch

_LEGACY = b"\x80"  # of a pickle, which torch.save wrote before its zip format
_ALONE = "weights alone do not say which network they are of"
_HERE = "map_location='cpu'"
_WRAPPERS = ("module.", "_orig_mod.")  # DataParallel's and torch.compile's, which no network uses itself


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
        return what, f"net = Net(); net.load_state_dict(torch.jit.load({name!r}, {_HERE}).state_dict())"
    if "data.pkl" not in parts and not _is_pickle(path):
        return None
    try:
        content = read_torch(path)
    except HoldsCodeError:
        what = (
            "what it holds beside tensors is code, which loading runs, so only if you trust who made it (of a "
            "dictionary, take the module or the weights)"
        )
        return what, f"net = torch.load({name!r}, {_HERE}, weights_only=False)"
    except InputError:  # it is damaged, as the message says
        return None
    keys = keys_of_weights(content)
    return None if keys is None else (_ALONE, _loading(name, content, keys))


def _loading(name: str, content: Any, keys: Sequence[str]) -> str:
    """Return the Python that loads weights which lie under ``keys``, without what a wrapper puts before their names."""
    loaded = f"torch.load({name!r}, {_HERE})" + "".join(f"[{key!r}]" for key in keys)
    for key in keys:
        content = content[key]
    for prefix in _WRAPPERS:
        if all(str(weight).startswith(prefix) for weight in content):
            plain = f"{{key.removeprefix({prefix!r}): value for key, value in weights.items()}}"
            return f"weights = {loaded}; net = Net(); net.load_state_dict({plain})"
    return f"net = Net(); net.load_state_dict({loaded})"


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
