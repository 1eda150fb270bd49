"""Models of Hugging Face's hub by their id: fetched only where a path says ``hub:``, and then read as a folder."""

import re
from pathlib import Path

from purecert.engine.errors import InputError, one_line
from purecert.train.importing.choices import Note
from purecert.train.importing.hugging_face.input import FILE, NESTED
from purecert.train.networks.hf import quiet
from purecert.train.networks.vit import require

_PREFIX = "hub:"
_ID = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_DESCRIPTIONS = ("config.json", FILE, NESTED)


def is_hub(path: Path) -> bool:
    """Return whether ``path`` is an id of the hub, such as ``hub:microsoft/resnet-50``."""
    return str(path).startswith(_PREFIX)


def fetch(path: Path, note: Note) -> Path:
    """Return the folder that the hub's model lies in on this machine, fetched unless it is there.

    Raises:
        BackendError: The package huggingface_hub, which transformers brings, is not installed.
        InputError: It is no id, there is no network, or the hub does not give such a model.
    """
    match = _ID.fullmatch(str(path))
    if match is None:
        raise InputError(f"expected hub:OWNER/NAME or hub:OWNER/NAME@REVISION, got {path}")
    require("huggingface_hub", "import")
    try:
        with quiet():
            folder = _snapshot(match[1], match[2])
    except Exception as error:  # the hub's errors, and those of the network, share no base class
        reason = one_line(error)[:300]
        raise InputError(
            f"expected {match[1]} from Hugging Face's hub, got {type(error).__name__}: {reason}; without a network, "
            "give the path of a folder with its files"
        ) from error
    note(f"weights: {match[1]} of Hugging Face's hub, commit {folder.name}")
    return folder


def _snapshot(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    for weights in ("model.safetensors", "pytorch_model.bin"):  # the second only where there is none of the first
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=[*_DESCRIPTIONS, weights]))
        if (folder / weights).is_file():
            break
    return folder
