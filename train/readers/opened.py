"""Files that came from elsewhere, opened for reading."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import TypeAlias

from purecert.engine.errors import InputError

Stream: TypeAlias = BufferedReader | BytesIO


class HoldsCodeError(InputError):
    """A file holds more than plain types and tensors: names or calls, which loading would run."""


_LFS_HEAD = b"version https://git-lfs"


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file at its start; a failed read inside the block becomes one line, too.

    Raises:
        InputError: The file cannot be read, or is a Git LFS pointer in place of the file.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would block, a device would never end
            raise InputError(f"{path}: cannot be read (expected a file, found a folder or a device)")
        with path.open("rb") as file:
            if file.read(len(_LFS_HEAD)) == _LFS_HEAD:
                raise InputError(f"{path}: this is a Git LFS pointer, not the model; fetch it with `git lfs pull`")
            file.seek(0)
            yield file
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def on_one_line(value: object, limit: int = 120) -> str:
    """Return a text or a number from a file in printable form, cut where it is long; of other values, their type.

    Containers are not printed: one that holds itself twice, and so on downwards, has no end.
    """
    if not isinstance(value, str | int | float | None):
        return type(value).__name__
    printable = str(value).encode("unicode_escape").decode("ascii")
    return printable if len(printable) <= limit else f"{printable[:limit]}..."
