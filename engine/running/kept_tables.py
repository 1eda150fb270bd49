"""Stopping tables in a plan's cache, under this machine's tag: seconds the first time, nothing after.

A table depends on its four numbers and the programme alone, not on the plan; the cache is where a machine keeps what it
made. What is read there is checked like any other table: its error by the rule, its numbers by their form.
"""

from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from purecert.engine.files.canonical import canonical_json, sha256_hex
from purecert.engine.plans.kept_findings import read_finding, write_finding
from purecert.engine.plans.plan import CACHE_DIRECTORY, Plan
from purecert.engine.statistics import bounds, stopping_tables, table_errors, table_making
from purecert.engine.statistics.stopping_tables import StoppingTable
from purecert.engine.statistics.table_making import make_table

_SCHEMA = "purecert.kept-table/1"
_PROGRAMME = (bounds, stopping_tables, table_errors, table_making)


def table_maker(plan: Plan) -> Callable[[float, int, float, float], StoppingTable]:
    """Return ``make_table`` as far as it was not asked the same on this machine with ``plan`` before."""

    def kept(threshold: float, n: int, alpha: float, price: float) -> StoppingTable:
        asked = {"threshold": threshold, "n": n, "alpha": alpha, "price": price}
        path, origin = _place(plan, asked)
        table = read_finding(StoppingTable, path, origin, "a stopping table is made again")
        if table is None or any(getattr(table, name) != value for name, value in asked.items()):
            table = make_table(threshold, n, alpha, price)
            write_finding(table, path, origin, "a stopping table")
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
