"""Files that ``torch.save`` wrote, in its zip format or in the one before it."""

from pathlib import Path
from typing import Any

from purecert.engine.errors import InputError
from purecert.train.readers.archives import load_plain
from purecert.train.readers.opened import opened
from purecert.train.readers.pickles.torch_claims import LEGACY_HEAD, ZIP_HEAD, check_legacy, check_zip
from purecert.train.readers.plain_content import plain_content


def read_torch(path: Path) -> Any:
    """Return the nested containers and tensors of a file, tensors on the CPU.

    Nothing of the file is run, and nothing is loaded before all that it claims is known to be there.

    Raises:
        InputError: The file cannot be read, is of another kind, is damaged, or holds more than plain types and tensors.
    """
    with opened(path) as file:
        head = file.read(len(LEGACY_HEAD))
        file.seek(0)
        if head.startswith(ZIP_HEAD):
            check_zip(file, path)
        elif head == LEGACY_HEAD:
            check_legacy(file, path)
        else:
            raise InputError(f"{path}: not a checkpoint of torch; expected a file written by torch.save")
        file.seek(0)
        return plain_content(load_plain(file, path), path)
