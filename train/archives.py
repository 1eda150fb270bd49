"""Files of plain types and tensors, as ``torch.save`` writes them: read without running code, written whole or not."""

import hashlib
import os
import pickle
import tempfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from purecert.engine.errors import InputError

_LFS_HEAD = b"version https://git-lfs"


def read_archive(path: Path) -> tuple[Any, str]:
    """Return what the file holds, tensors on the CPU, and the SHA-256 of its bytes.

    Raises:
        InputError: The file cannot be read, is no such archive, is damaged, or holds more than plain data.
    """
    try:
        with path.open("rb") as file:
            _refuse_foreign(file, path)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            return _load_plain(file, path), digest
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _refuse_foreign(file: BinaryIO, path: Path) -> None:
    head = file.read(len(_LFS_HEAD))
    if head == _LFS_HEAD:
        raise InputError(f"{path}: this is a Git LFS pointer, not the model; fetch the file with `git lfs pull`")
    if not head.startswith(b"PK"):
        raise InputError(f"{path}: not a model file; expected an archive written by `engine-train` or torch.save")
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise InputError(f"{path}: the archive is damaged or cut short; copy or fetch it again") from error
    if damaged is not None:
        raise InputError(f"{path}: the archive is damaged at {damaged}; copy or fetch it again")
    file.seek(0)


def _load_plain(file: BinaryIO, path: Path) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(f"{path}: holds more than plain types and tensors, so it is not loaded") from error
    except (RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError) as error:
        raise InputError(f"{path}: not an archive that torch.save wrote ({type(error).__name__})") from error


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
