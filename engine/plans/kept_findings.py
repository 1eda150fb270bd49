"""What this machine found out of a plan, as JSON in the plan's cache under the machine's tag."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from purecert.engine.errors import InputError, one_line
from purecert.engine.files.strict_json import read_dataclass
from purecert.engine.plans.trust import is_of_this_machine, read_trusted, write_trusted

Finding = TypeVar("Finding")
_log = logging.getLogger("purecert")


def read_finding(kind: type[Finding], path: Path, origin: str, otherwise: str) -> Finding | None:
    """Return what this machine kept at ``path``, made from ``origin``, as the dataclass ``kind``.

    Returns:
        None where there is nothing, or nothing that this machine wrote itself. Where its own file cannot be used, a
        warning begins by ``otherwise``: what is done in its place.
    """
    try:
        if not path.is_file() or not is_of_this_machine(path):
            return None
        return read_dataclass(kind, json.loads(read_trusted(path, origin)), str(path))
    except (InputError, OSError, ValueError) as error:
        _log.warning("%s: what is cached of it cannot be used (%s)", otherwise, one_line(error))
        return None


def write_finding(finding: Any, path: Path, origin: str, what: str) -> None:
    """Keep a dataclass at ``path``; a plan that cannot be written to is used as it is, and ``what`` is not kept."""
    try:
        write_trusted(path, (json.dumps(asdict(finding)) + "\n").encode(), origin)
    except (InputError, OSError) as error:
        _log.info("%s is not kept: %s", what, one_line(error))
