"""Stopping tables in a plan's cache, under this machine's tag: seconds the first time, nothing after.

A table depends on its four numbers and the programme alone, not on the plan; the cache is where a machine keeps what it
made. What is read there is checked like any other table: its error by the rule, its numbers by their form.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import canonical_json, sha256_hex
from purecert.engine.files.strict_json import read_dataclass
from purecert.engine.plans.plan import CACHE_DIRECTORY, Plan
from purecert.engine.plans.trust import is_of_this_machine, read_trusted, write_trusted
from purecert.engine.statistics import bounds, stopping_tables, table_errors, table_making
from purecert.engine.statistics.stopping_tables import StoppingTable
from purecert.engine.statistics.table_making import make_table

_SCHEMA = "purecert.kept-table/1"
_PROGRAMME = (bounds, stopping_tables, table_errors, table_making)
_log = logging.getLogger("purecert")


def table_maker(plan: Plan) -> Callable[[float, int, float, float], StoppingTable]:
    """Return ``make_table`` as far as it was not asked the same on this machine with ``plan`` before."""

    def kept(threshold: float, n: int, alpha: float, price: float) -> StoppingTable:
        asked = {"threshold": threshold, "n": n, "alpha": alpha, "price": price}
        path, origin = _place(plan, asked)
        table = _read(path, origin)
        if table is None or any(getattr(table, name) != value for name, value in asked.items()):
            table = make_table(threshold, n, alpha, price)
            _write(path, origin, table)
        return table

    return kept


def _place(plan: Plan, asked: dict[str, float]) -> tuple[Path, str]:
    """Return the file, and a digest of all that its content depends on."""
    programme = {name: version(name) for name in ("purecert", "numpy", "scipy")} | {"makes": _makes()}
    origin = sha256_hex(canonical_json({"schema": _SCHEMA, **asked, **programme}).encode())
    return plan.directory / CACHE_DIRECTORY / f"stopping-table-{origin[:16]}.json", origin


@cache
def _makes() -> str:
    """Return a digest of the programme: what another one made is not taken for its own."""
    return sha256_hex(b"".join(Path(module.__file__ or "").read_bytes() for module in _PROGRAMME))


def _read(path: Path, origin: str) -> StoppingTable | None:
    try:
        if not path.is_file() or not is_of_this_machine(path):
            return None
        return read_dataclass(StoppingTable, json.loads(read_trusted(path, origin)), str(path))
    except (InputError, OSError, ValueError) as error:
        _log.warning("a stopping table is made again: what is cached of it cannot be used (%s)", _line(error))
        return None


def _write(path: Path, origin: str, table: StoppingTable) -> None:
    """Keep the table; a plan that cannot be written to is used as it is."""
    try:
        write_trusted(path, (json.dumps(asdict(table)) + "\n").encode(), origin)
    except (InputError, OSError) as error:
        _log.info("a stopping table is not kept: %s", _line(error))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
