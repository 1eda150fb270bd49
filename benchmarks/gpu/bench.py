"""engine-bench of a plan: the GPU's backend beside the field's eager FP32 loop, one batch size after the other."""

import json
import subprocess
import sys
from time import perf_counter
from typing import Any

import click
from gpu.best import best_of
from gpu.record import print_table, write_record
from gpu.setting import SIGMA, Setting, read_setting

from purecert.engine.console import EngineCommand
from purecert.engine.errors import BackendError

_SECONDS = 440  # of the step: a batch that would not end by then is not begun


@click.command(cls=EngineCommand)
@click.argument("name")
def main(name: str) -> None:
    """Benchmark plan NAME; tables and charts go into RESULTS/bench-NAME-BATCH/."""
    setting = read_setting()
    began, longest = perf_counter(), 0.0
    benchmarks: dict[int, dict[str, Any]] = {}
    left_out = []
    for batch in setting.batches:
        started = perf_counter()
        if started - began + longest > _SECONDS:
            left_out.append(batch)
            print(f"batch {batch} is left out: no time is left; run it alone with BATCHES={batch}", flush=True)
            continue
        benchmarks[batch] = _bench(setting, name, batch)
        _write(setting, name, left_out, benchmarks)
        longest = max(longest, perf_counter() - started)
    best = _write(setting, name, left_out, benchmarks)
    if best["backend"] is None:
        print("no backend row is VALID, so that there is no ratio to count")
        return
    print(f"fastest backend of all batches: {best['backend']['title']} at batch {best['backend']['batch']}")
    print_table(
        ("over the fastest baseline of all batches", "its batch", "times"),
        [(ratio["to"], ratio["batch"], f"{ratio['times']:.2f}") for ratio in best["ratios"]],
    )


def _write(setting: Setting, name: str, left_out: list[int], benchmarks: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Write what there is so far; return the best rows of all batches."""
    # A dry run is too short for any row to be VALID.
    best = best_of(list(benchmarks.values()), only_valid=not setting.is_dry_run)
    write_record(setting, f"bench-{name}", {"left_out": left_out, "best": best, "benchmarks": benchmarks})
    return best


def _bench(setting: Setting, name: str, batch: int) -> dict[str, Any]:
    """Return what `engine-bench` prints, and print its table.

    Raises:
        BackendError: No backend could be measured.
    """
    output = setting.results / f"bench-{name}-{batch}"
    # A CPU would take the whole step for one batch of the full-size networks.
    backends = (setting.backend, "torch") if name == "demo" else (setting.backend,)
    places = ["--plan", str(setting.plan(name)), "--model", setting.model(name), "--data", setting.data(name)]
    rows = ["--sigma", str(SIGMA), *(part for backend in backends for part in ("--backend", backend))]
    rows += ["--batch", str(batch), "--threads", str(setting.threads), "--probe-rows", str(setting.probe_rows)]
    (output / "bench.md").unlink(missing_ok=True)  # or an earlier call's would be shown where this one ends early
    sizes = ["--seconds", setting.pick("10", "0.2"), "--agreement-draws", setting.pick("2000", "100")]
    command = [sys.executable, "-m", "gpu.engine", "bench", *places, *rows, *sizes, "--out", str(output), "--force"]
    done = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    table = output / "bench.md"
    if done.stdout and table.exists():  # also where no backend could be measured: the table says why
        print(table.read_text(), flush=True)
    if done.returncode:
        raise BackendError(f"engine-bench of {name} ended with exit code {done.returncode}; what it said is above")
    benchmark: dict[str, Any] = json.loads(done.stdout)
    return benchmark


if __name__ == "__main__":
    main()
