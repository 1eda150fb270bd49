"""The rows that count in calls of engine-bench, each of which compares at its own batch only.

Uses nothing but the standard library.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]  # as engine-bench writes it


def best_of(benchmarks: Sequence[Mapping[str, Any]], *, only_valid: bool) -> dict[str, Any]:
    """Return the fastest backend row, and how often it does the work of each baseline at that one's fastest batch.

    ``backend`` is None where there is no such row; ``ratios`` has an entry for each kind of baseline that was measured.
    """
    rows = [row for benchmark in benchmarks for row in benchmark["rows"] if "samples_per_second" in row]
    counted = [row for row in rows if row["verdict"] == "VALID" or not only_valid]
    backends = [row for row in counted if not row["row"]["is_baseline"]]
    if not backends:
        return {"backend": None, "ratios": []}
    best = max(backends, key=_rate)
    variants = dict.fromkeys(row["row"]["variant"] for row in counted if row["row"]["is_baseline"])
    baselines = [max((row for row in counted if _is(row, variant)), key=_rate) for variant in variants]
    ratios = [_named(base) | {"to": base["row"]["variant"], "times": _rate(best) / _rate(base)} for base in baselines]
    flops = best["speed"] and best["speed"]["flops_per_second"]
    return {"backend": _named(best) | {"flops_per_second": flops}, "ratios": ratios}


def rate_of(benchmark: Mapping[str, Any], backend: str, *, only_valid: bool) -> float | None:
    """Return the rows a second of ``backend`` in a call at one batch, or None where no row of it counts."""
    rows = [row for row in benchmark["rows"] if row["row"]["name"] == backend and "samples_per_second" in row]
    return next((_rate(row) for row in rows if row["verdict"] == "VALID" or not only_valid), None)


def _named(row: Row) -> dict[str, Any]:
    name = row["row"]
    return {
        "title": f"{name['name']} {name['variant']}".strip(),
        "batch": name["batch"],
        "samples_per_second": _rate(row),
        "verdict": row["verdict"],
    }


def _is(row: Row, variant: str) -> bool:
    return bool(row["row"]["is_baseline"]) and row["row"]["variant"] == variant


def _rate(row: Row) -> float:
    return float(row["samples_per_second"])
