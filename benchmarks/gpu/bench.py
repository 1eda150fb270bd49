"""engine-bench of a plan: the GPU's backend beside the field's eager FP32 loop, one batch size after the other."""

from time import perf_counter
from typing import Any

import click
from gpu.best import best_of
from gpu.command import run_bench
from gpu.record import print_table, write_record
from gpu.setting import Setting, read_setting

from purecert.engine.commands.console import EngineCommand

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
    # PyTorch on the CPU would take the whole step for one batch of the full-size networks.
    beside = ("torch",) if name == "demo" else ()
    backends = (setting.backend, *setting.pick(setting.backends, ()), *beside)
    return run_bench(setting, name, backends, batch, setting.results / f"bench-{name}-{batch}")


if __name__ == "__main__":
    main()
