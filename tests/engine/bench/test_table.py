"""The table of a benchmark written by hand: every cell, rounded against the row."""

from dataclasses import replace

import pytest

from purecert.engine.bench.record import Benchmark, MeasuredRow
from purecert.engine.bench.table import rounded_down, rounded_up, table


@pytest.mark.parametrize(
    ("value", "down", "up"),
    [
        (0, "0", "0"),
        (1, "1.00", "1.00"),
        (2.5999, "2.59", "2.60"),
        (0.0012345, "0.00123", "0.00124"),
        (99.999, "99.9", "100.0"),
        (1234.5, "1,234", "1,235"),
        (9_876_543.2, "9,876,543", "9,876,544"),
    ],
)
def test_rounding_keeps_three_digits_and_a_direction(value: float, down: str, up: str) -> None:
    assert (rounded_down(value), rounded_up(value)) == (down, up)


def _cells(benchmark: Benchmark) -> list[dict[str, str]]:
    lines = [line for line in table(benchmark).splitlines() if line.startswith("|")]
    heading, _, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [dict(zip(heading, row, strict=True)) for row in rows]


def test_every_number_has_its_column(benchmark: Benchmark) -> None:
    baseline, backend, unusable = _cells(benchmark)
    assert baseline == {
        "row": "eager channels-last",
        "precision": "fp32",
        "batch": "64",
        "build s": "0",
        "open s": "1.25",
        "p50 ms": "64.1",
        "p90 ms": "64.1",
        "p99 ms": "64.1",
        "samples/s": "999",
        "s per certificate, n = 100,000": "101",
        "host MiB": "301",
        "of peak": "10.0 %",
        "of matmul": "20.0 %",
        "x eager channels-last": "1.00",
        "agreement": "99.95 %",
        "verdict": "VALID",
    }
    assert (backend["samples/s"], backend["x eager channels-last"], backend["agreement"]) == ("2,599", "2.59", "-")
    assert {heading for heading, cell in unusable.items() if cell != "-"} == {"row", "batch", "verdict"}
    assert unusable["verdict"] == "UNUSABLE"


def test_every_reason_and_source_is_beneath(benchmark: Benchmark) -> None:
    written = table(benchmark)
    for line in (
        "- hardware: x86_64 Test CPU, 2 threads",
        "- 0.001 GFLOP a row, counted from the plan's graph",
        "- x eager channels-last: the fastest of its kind here, at batch 64",
        "- peak in fp32 on the cpu: by hand",
        "- matmul in fp32 on the cpu: 5.00 GFLOP/s, the fastest large product in PyTorch, measured in this call",
        "- onnxruntime, batch 64: INVALID, measured under 10 s; "
        "agreement with eager FP32 was not checked: no model file",
        "- torch, batch 64: UNUSABLE, no such cached file | none",
    ):
        assert written.splitlines().count(line) == 1


def test_what_is_not_known_is_said(benchmark: Benchmark) -> None:
    rows = tuple(replace(row, speed=None, ratios=()) for row in benchmark.rows if isinstance(row, MeasuredRow))
    unknown = replace(benchmark, rows=rows, flops_per_row=None, flops_note="Einsum", reference_note="no model file")
    cells = _cells(unknown)
    assert [row["of peak"] for row in cells] == ["-", "-"]
    assert not any("x eager channels-last" in row for row in cells)
    assert "- operations of a row are not known: Einsum" in table(unknown)
    assert "- no eager FP32 to compare with: no model file" in table(unknown)


def test_an_accelerators_memory_has_a_column_where_there_is_one(benchmark: Benchmark) -> None:
    first, *others = benchmark.rows
    assert isinstance(first, MeasuredRow)
    on_gpu = replace(benchmark, rows=(replace(first, device_memory_peak=2**30), *others))
    assert [row["device MiB"] for row in _cells(on_gpu)] == ["1,024", "-", "-"]
