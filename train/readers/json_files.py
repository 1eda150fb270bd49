"""JSON files that describe a network, or a user's choices for one."""

import json
from pathlib import Path
from typing import Any

from purecert.engine.errors import InputError
from purecert.train.readers.opened import opened

_MAX_BYTES = 1_000_000


def read_object(path: Path, what: str) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Args:
        path: The file.
        what: What it should be, for messages.

    Raises:
        InputError: The file cannot be read, or holds anything else.
    """
    with opened(path) as file:
        text = file.read(_MAX_BYTES + 1)
    try:
        content = json.loads(text) if len(text) <= _MAX_BYTES else None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected {what} as JSON ({type(error).__name__})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected {what} as a JSON object, found none")
    return content
