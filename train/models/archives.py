"""Files of plain types and tensors, as ``torch.save`` writes them: read without running code, written whole or not."""

import hashlib
import os
import pickle
import tempfile
from pathlib import Path
from typing import Any

import torch

from purecert.engine.errors import InputError
from purecert.train.readers.opened import Stream, opened
from purecert.train.readers.pickles.inert import DAMAGE
from purecert.train.readers.pickles.torch_claims import ZIP_HEAD, check_zip
from purecert.train.readers.plain_content import plain_content


def read_archive(path: Path) -> tuple[Any, str]:
    """Return what the file holds, tensors on the CPU, and the SHA-256 of its bytes.

    Raises:
        InputError: The file cannot be read, is no such archive, is damaged, or holds more than plain data.
    """
    with opened(path) as file:
        if file.read(len(ZIP_HEAD)) != ZIP_HEAD:
            raise InputError(f"{path}: not a model file; expected an archive written by `engine-train` or torch.save")
        file.seek(0)
        check_zip(file, path)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        return plain_content(load_plain(file, path), path), digest


def load_plain(file: Stream, path: Path) -> Any:
    """Return what torch.save wrote, tensors on the CPU; the file's claims have been checked before.

    Raises:
        InputError: It is damaged or holds more than plain types and tensors.
    """
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"{path}: holds more than plain types and tensors, so it is not loaded") from error
    except DAMAGE as error:
        raise InputError(f"{path}: not a file that torch.save wrote ({type(error).__name__})") from error


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
