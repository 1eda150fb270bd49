"""A keyed digest for files that are code once loaded (exported torch programs, compiled engines).

Such a file is loaded only if this machine wrote it: its tag is an HMAC under a key that never leaves the machine,
checked on the very bytes that are then deserialised.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import canonical_json, sha256_hex, write_atomically
from purecert.engine.files.configuration import configuration_folder

_KEY_BYTES = 32


def tag_path(path: Path) -> Path:
    """Return where the tag of the cached file ``path`` lies."""
    return path.with_name(path.name + ".tag")


def write_trusted(path: Path, content: bytes, bound_to: str) -> None:
    """Write ``content`` to ``path`` with this machine's tag beside it.

    Args:
        path: The cached file.
        content: Its bytes.
        bound_to: What the file was made from (the digest of the graph); another origin makes the tag invalid.
    """
    if path.parent.is_symlink():
        raise InputError(f"{path.parent}: expected the plan's own cache, found a link; remove it")
    path.parent.mkdir(exist_ok=True)
    # The tag first: a crash in between leaves no file, rather than one of this machine that looks foreign.
    write_atomically(tag_path(path), (_tag_line(path.name, content, bound_to) + "\n").encode())
    write_atomically(path, content)


def read_trusted(path: Path, bound_to: str, *, trust: bool = False) -> bytes:
    """Return the bytes of ``path``, which this machine wrote for ``bound_to``; with ``trust``, whoever wrote them.

    Raises:
        InputError: The file is absent, or it does not carry this machine's tag.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such cached file; make it on this machine with `engine-export`")
    content = path.read_bytes()
    if trust:
        return content
    if not hmac.compare_digest(_found_line(path).encode(), _tag_line(path.name, content, bound_to).encode()):
        raise InputError(
            f"{path}: loading it runs code from it, and it does not carry this machine's tag; "
            "export the plan on this machine, or pass --trust-plan if you trust who made it"
        )
    return content


def is_of_this_machine(path: Path) -> bool:
    """Whether this machine wrote the cached file ``path`` as it is, whatever it was made from.

    That is no leave to load it: what it was made from, which its reader knows, may be another graph.
    """
    line = _found_line(path)
    _, _, bound_to = line.partition(" ")
    return hmac.compare_digest(line.encode(), _tag_line(path.name, path.read_bytes(), bound_to).encode())


def _found_line(path: Path) -> str:
    return tag_path(path).read_text("ascii", "replace").strip() if tag_path(path).is_file() else ""


def _tag_line(name: str, content: bytes, bound_to: str) -> str:
    """Return what a tag file says: the tag, and what the file was made from, for ``is_of_this_machine``."""
    return f"{_tag(name, content, bound_to)} {bound_to}"


def _tag(name: str, content: bytes, bound_to: str) -> str:
    # JSON, so that no name or origin can be written that reads as another pair of them.
    message = canonical_json({"purecert": "cache 1", "name": name, "from": bound_to, "sha256": sha256_hex(content)})
    return hmac.new(_machine_key(), message.encode(), hashlib.sha256).hexdigest()


def _machine_key() -> bytes:
    """Return this user's key on this machine, made at first use, readable by this user only."""
    path = configuration_folder() / "machine.key"
    if not path.exists():
        _create_key(path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise InputError(f"{path}: expected {_KEY_BYTES} bytes, found {len(key)}; delete it and export plans again")
    return key


def _create_key(path: Path) -> None:
    """Put a fresh key at ``path``; where two processes race, the first one's key stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Not the process id: in a container it may be the one of a process that died here and left its file.
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)
    except FileExistsError:
        return  # another process made the key first: its key is the machine's
    finally:
        fresh.unlink()
