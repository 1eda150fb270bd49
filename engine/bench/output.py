"""The files of a benchmark, which replace none by accident."""

from pathlib import Path

from purecert.engine.bench.chart import draw_chart
from purecert.engine.bench.record import Benchmark
from purecert.engine.bench.table import table
from purecert.engine.errors import InputError
from purecert.engine.files.canonical import write_atomically
from purecert.engine.reports.chart_style import chart_style

JSON_FILE, TABLE_FILE, PNG_FILE, SVG_FILE = "bench.json", "bench.md", "bench.png", "bench.svg"


def check_bench_output(directory: Path, *, force: bool) -> None:
    """Refuse, before anything is measured, a ``directory`` into which the result could not be written.

    Raises:
        InputError: It is a file, or it holds a benchmark that ``force`` does not replace.
        BackendError: Matplotlib is not installed.
    """
    chart_style()
    above = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    if not above.is_dir():
        raise InputError(f"--out {directory}: expected a folder to write into, {above} is a file; choose another name")
    for name in (JSON_FILE, TABLE_FILE, PNG_FILE, SVG_FILE):
        if (directory / name).exists() and not force:
            raise InputError(f"{directory / name}: a benchmark is there; choose another --out, or pass --force")


def write_benchmark(benchmark: Benchmark, directory: Path) -> None:
    """Write the JSON, the table and the chart into ``directory``, which ``check_bench_output`` has passed."""
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / JSON_FILE, f"{benchmark.to_json()}\n".encode())
    write_atomically(directory / TABLE_FILE, f"{table(benchmark)}\n".encode())
    draw_chart(benchmark, directory / PNG_FILE, directory / SVG_FILE)
