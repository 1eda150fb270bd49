"""Refusals of files made to harm: one line, at once, in little memory."""

import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from purecert.engine.errors import InputError

# Within which a file is refused, of processor time: the machine may be busy. A user waits 2 s at most, but the tests
# check the types of every call, with which a walk over a pickle takes eight times as long.
_SECONDS = 10.0
_MEMORY = 200_000  # kilobytes by which the peak of the process may grow meanwhile


def write_files(folder: Path, contents: Mapping[str, Callable[[], bytes]]) -> dict[str, Path]:
    """Return where each file of the table now lies, under its name."""
    paths = {name: folder / name.replace(" ", "-") for name in contents}
    for name, path in paths.items():
        path.write_bytes(contents[name]())
    return paths


def refuse_at_once(read: Callable[[Path], object], path: Path) -> str:
    """Return the one line with which a reader refuses a file."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    with pytest.raises(InputError) as caught:
        read(path)
    assert time.process_time() - start < _SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < _MEMORY
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message
