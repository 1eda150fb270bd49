"""Files of plain types and tensors, as ``torch.save`` writes them: read without running code."""

import hashlib
import pickle
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
