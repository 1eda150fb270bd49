"""Run public test batteries on the uniform words under the noise: PractRand and dieharder, where they are installed.

    PYTHONPATH=tests python benchmarks/word_batteries.py benchmarks/results/audit/words.json

A battery that is not on PATH is skipped with the reason, and that is no failure. PractRand's program is ``RNG_test``
(https://pracrand.sourceforge.net; neither Debian nor PyPI has a package of it), dieharder is a package of Debian's.
"""

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE, Popen, run
from time import perf_counter
from typing import Any

import click
from noise_words import SEED, STREAMS
from provenance import provenance, write_result

# Those that dieharder calls good and that take seconds; it says not to use 14, and suspects 5 to 7.
_DIEHARDER_TESTS = (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 15, 16, 100, 101, 205, 206, 208, 209)
_RAW_FROM_STDIN = "200"
_COLUMNS = ("test", "ntuple", "samples", "repeats", "p", "assessment")  # of a line of dieharder's results
_PRACTRAND = "RNG_test"
_REASONS = {
    _PRACTRAND: "PractRand's RNG_test is not on PATH, and Debian and PyPI have no package of it",
    "dieharder": "dieharder is not on PATH; on Debian: apt install dieharder",
}


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--practrand-length", default="256GB", show_default=True, help="How much PractRand reads of each stream.")
@click.option("--battery", "batteries", multiple=True, type=click.Choice(list(_REASONS)), default=list(_REASONS))
def main(out: Path, practrand_length: str, batteries: Sequence[str]) -> None:
    """Run what is there on each stream, write OUT, and exit with 1 if a test fails."""
    began = perf_counter()
    jobs = {
        _PRACTRAND: [(stream, ["stdin32", "-tlmax", practrand_length]) for stream in STREAMS],
        "dieharder": [(s, ["-g", _RAW_FROM_STDIN, "-d", str(test)]) for s in STREAMS for test in _DIEHARDER_TESTS],
    }
    results = {program: _battery(program, runs) for program, runs in jobs.items() if program in batteries}
    record = {"seed": SEED, "seconds": perf_counter() - began, "batteries": results}
    write_result(out, provenance(("numpy",), environment="PYTHONPATH=tests"), record)
    sys.exit(1 if any(battery.get("failed") for battery in results.values()) else 0)


def _battery(program: str, runs: Sequence[tuple[str, list[str]]]) -> dict[str, Any]:
    """Return the results of a program's runs, or why there are none."""
    if shutil.which(program) is None:
        print(f"{program}: skipped: {_REASONS[program]}", flush=True)
        return {"skipped": _REASONS[program]}
    results: list[dict[str, Any]] = []
    said = ""
    for stream, arguments in runs:
        said = _output([program, *arguments], stream)
        read = _practrand_results if program == _PRACTRAND else _dieharder_results
        found = read(said)
        if not found:
            raise click.ClickException(f"expected {program} {' '.join(arguments)} to print results, got none")
        for result in found:
            print(f"{program}: {stream}: {' '.join(map(str, result.values()))}", flush=True)
        results += [{"stream": stream, **result} for result in found]
    release = re.search(r"version\s+(\S+)", said)
    failed = sum("FAIL" in result["assessment"] for result in results)
    return {"version": release[1] if release else "unknown", "failed": failed, "results": results}


def _output(command: list[str], stream: str) -> str:
    """Return what a battery says of a stream, which ends when the battery has read enough."""
    words = Path(__file__).with_name("noise_words.py")
    with Popen([sys.executable, words, stream], stdout=PIPE) as source:
        done = run(command, stdin=source.stdout, stdout=PIPE, text=True, check=False)
        source.terminate()
    return done.stdout


def _dieharder_results(text: str) -> list[dict[str, Any]]:
    lines = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    rows = [dict(zip(_COLUMNS, cells, strict=True)) for cells in lines if len(cells) == len(_COLUMNS)]
    return [row | {"p": float(row["p"])} for row in rows if row["assessment"] in ("PASSED", "WEAK", "FAILED")]


def _practrand_results(text: str) -> list[dict[str, Any]]:
    """Return PractRand's own lines: how much it read, and what it thinks of each anomaly."""
    marks = ("length=", "FAIL", "suspicious", "unusual", "no anomalies")
    return [{"assessment": line.strip()} for line in text.splitlines() if any(mark in line for mark in marks)]


if __name__ == "__main__":
    main()
