"""A benchmark as a Markdown table, with its reasons beneath. Rounded so that nothing looks better than it was."""

from collections.abc import Callable, Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from purecert.engine.bench.record import ESTIMATION_DRAWS, Benchmark, MeasuredRow, UnusableRow
from purecert.engine.reports.text import markdown_table

_DIGITS = 3
_UNKNOWN = "-"
_UNUSABLE = "UNUSABLE"
_MIB = 2**20
_ONE_LABEL = 0.99  # share of draws beyond which labels can hardly differ
_P99_BATCHES = 100

Column = Callable[[MeasuredRow], str]


def table(benchmark: Benchmark) -> str:
    """Return the rows as a Markdown table, then a line for everything that a reader must know beside it."""
    columns = _columns(benchmark)
    rows = [_cells(row, columns) for row in benchmark.rows]
    return "\n".join([*markdown_table([list(columns), *rows]), "", *_notes(benchmark)])


def rounded_down(value: float) -> str:
    """Return ``value`` with three digits, or as a whole number where it has more; what is more is better."""
    return _rounded(value, ROUND_FLOOR)


def rounded_up(value: float) -> str:
    """Return ``value`` likewise, rounded up; what is more is worse."""
    return _rounded(value, ROUND_CEILING)


def _rounded(value: float, direction: str) -> str:
    exact = Decimal(value)
    places = max(0, _DIGITS - 1 - exact.adjusted()) if exact else 0
    return f"{exact.quantize(Decimal(1).scaleb(-places), rounding=direction):,f}"


def _columns(benchmark: Benchmark) -> dict[str, Column]:
    """Return heading -> cell of a measured row; the device's memory and each baseline only where there is any."""
    measured = [row for row in benchmark.rows if isinstance(row, MeasuredRow)]
    ratios = {ratio.to: number for row in measured for number, ratio in enumerate(row.ratios)}
    has_device = any(row.device_memory_peak is not None for row in measured)
    device: Mapping[str, Column] = {"device MiB": lambda row: _memory(row.device_memory_peak)} if has_device else {}
    return {
        "row": lambda row: row.row.title,
        "precision": lambda row: row.executed_precision,
        "batch": lambda row: str(row.row.batch),
        "build s": lambda row: rounded_up(row.build_seconds),
        "open s": lambda row: rounded_up(row.open_seconds),
        "p50 ms": lambda row: rounded_up(row.latency.p50_ms),
        "p90 ms": lambda row: rounded_up(row.latency.p90_ms),
        "p99 ms": lambda row: rounded_up(row.latency.p99_ms),
        "samples/s": lambda row: rounded_down(row.samples_per_second),
        f"s per certificate, n = {ESTIMATION_DRAWS:,}": lambda row: rounded_up(row.seconds_per_certificate),
        "host MiB": lambda row: _memory(row.host_memory_peak),
        **device,
        "of peak": lambda row: _percent(row.speed and row.speed.share_of_peak),
        "of matmul": lambda row: _percent(row.speed and row.speed.share_of_matrix_rate),
        **{f"x {name}": _ratio_column(number) for name, number in ratios.items()},
        "agreement": _agreement,
        "verdict": lambda row: row.verdict,
    }


def _ratio_column(number: int) -> Column:
    return lambda row: rounded_down(row.ratios[number].times)


def _cells(row: MeasuredRow | UnusableRow, columns: Mapping[str, Column]) -> list[str]:
    if isinstance(row, MeasuredRow):
        return [cell(row) for cell in columns.values()]
    known = {"row": row.row.title, "batch": str(row.row.batch), "verdict": _UNUSABLE}
    return [known.get(heading, _UNKNOWN) for heading in columns]


def _memory(size: int | None) -> str:
    return _UNKNOWN if size is None else f"{-(-size // _MIB):,}"


def _percent(share: float | None) -> str:
    return _UNKNOWN if share is None else f"{rounded_down(100 * share)} %"


def _agreement(row: MeasuredRow) -> str:
    if row.agreement is None:
        return _UNKNOWN
    hundredths = 10_000 * row.agreement.same // row.agreement.draws  # of a per cent, rounded down in integers
    return f"{hundredths // 100}.{hundredths % 100:02} %"


def _notes(benchmark: Benchmark) -> Iterator[str]:
    yield f"- hardware: {benchmark.machine.title}"
    if benchmark.flops_per_row is None:
        yield f"- operations of a row are not known: {benchmark.flops_note}"
    else:
        yield f"- {benchmark.flops_per_row / 1e9:.6g} GFLOP a row, counted from the plan's graph"
    if benchmark.reference_note:
        yield f"- no eager FP32 to compare with: {benchmark.reference_note}"
    if benchmark.reference_top_share is not None and benchmark.reference_top_share > _ONE_LABEL:
        share = _percent(benchmark.reference_top_share)
        yield f"- agreement says little here: eager FP32 gives {share} of the draws one and the same label"
    measured = [row for row in benchmark.rows if isinstance(row, MeasuredRow)]
    if any(row.latency.batches < _P99_BATCHES for row in measured):
        yield f"- p99 of fewer than {_P99_BATCHES} batches is the largest latency"
    yield from dict.fromkeys(note for row in measured for note in _measure_notes(row))
    for row in benchmark.rows:
        where = f"- {row.row.title}, batch {row.row.batch}"
        if isinstance(row, UnusableRow):
            yield f"{where}: {_UNUSABLE}, {row.reason}"
        elif row.reasons:
            yield f"{where}: {row.verdict}, {'; '.join(row.reasons)}"


def _measure_notes(row: MeasuredRow) -> Iterator[str]:
    """Yield what the row's shares and ratios are of."""
    for ratio in row.ratios:
        yield f"- x {ratio.to}: the fastest of its kind here, at batch {ratio.batch}"
    if row.speed is not None:
        kind = f"in {row.executed_precision} on the {row.device}"
        yield f"- peak {kind}: {row.speed.peak.source}"
        if row.speed.matrix_flops_per_second is not None:
            rate = rounded_up(row.speed.matrix_flops_per_second / 1e9)
            yield f"- matmul {kind}: {rate} GFLOP/s, the fastest large product in PyTorch, measured in this call"
