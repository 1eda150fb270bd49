"""One byte form for every record: canonical JSON, its digest, and atomic writes."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path


def canonical_json(value: Mapping[str, object]) -> str:
    """Return the one JSON text of ``value``: keys as given, no spaces, shortest round-trip floats, no NaN."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def sha256_hex(content: bytes) -> str:
    """Return the SHA-256 of ``content`` as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sync_directory(directory: Path) -> None:
    """Make created and renamed names in ``directory`` survive a power cut (an fsync of the file alone does not)."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` so that a reader sees the old file or the whole new one, never a part."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)  # left by a crash; a link is removed, not followed
    with partial.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync_directory(path.parent)
