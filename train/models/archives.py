"""Files of plain types and tensors, as ``torch.save`` writes them: written whole or not at all."""

import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from purecert.engine.errors import InputError


def refuse_overwrite(path: Path, *, force: bool) -> None:
    """Check that ``path`` may be written, before work whose result goes there.

    Raises:
        InputError: The file exists and ``force`` is not set, it is a folder, or its folder does not exist.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written; expected a file name in a folder that exists")
    if path.exists() and not force:
        raise InputError(f"{path}: exists already; choose another name or pass --force to replace it")


def write_archive(content: dict[str, Any], path: Path, *, force: bool) -> None:
    """Write the file under its final name only once it is complete on disk.

    Raises:
        InputError: The file exists and ``force`` is not set, or its folder cannot be written.
    """
    refuse_overwrite(path, force=force)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would keep a shared model to its author
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
