"""engine-bench of plan vit on one more backend, in one table with the backend that PyTorch compiles for."""

import json
import sys
from typing import Any

import click
from gpu.best import rate_of
from gpu.command import run_bench
from gpu.examination import diagnosis
from gpu.record import write_record
from gpu.setting import Setting, read_setting

from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import BackendError

SKIPPED = 77  # exit code that gpu.sh takes for "skipped", with the reason in the step's record
_PLAN = "vit"
# What runs on a CPU in the place of a GPU's backend; the others have nothing there.
_STANDS_FOR = {"onnxruntime-cuda": "onnxruntime"}


@click.command(cls=EngineCommand)
@click.argument("name")
def main(name: str) -> None:
    """Measure backend NAME where the doctor says that it can be used; else record why not."""
    setting = read_setting()
    backend = setting.pick(name, _STANDS_FOR.get(name, name))
    answer = diagnosis(backend)
    if not answer["usable"]:
        _write(setting, name, {"skipped": answer["reason"], "remedy": answer["remedy"]})
        print(f"{backend} cannot be used: {answer['reason']}\nto mend: {answer['remedy']}")
        sys.exit(SKIPPED)
    benchmark = measured_before(setting, backend) or _run(setting, name, backend)
    times = _times(setting, benchmark, backend)
    _write(setting, name, {"skipped": None, "measured": backend, "times": times, "benchmark": benchmark})
    if times is None:
        print(f"{backend} beside {setting.backend}: not both rows are VALID, so that there is no ratio to count")
    else:
        print(f"{backend} does {times:.4f} times the rows of {setting.backend}")


def _run(setting: Setting, name: str, backend: str) -> dict[str, Any]:
    output = setting.results / f"backend-{name}-{setting.batch}"
    return run_bench(setting, _PLAN, (setting.backend, backend), setting.batch, output)


def measured_before(setting: Setting, backend: str) -> dict[str, Any] | None:
    """Return what the plan's own step measured of ``backend``, where BACKENDS named it, and None elsewhere."""
    path = setting.results / f"bench-{_PLAN}.json"
    if backend not in setting.backends or not path.exists():
        return None
    found: dict[str, Any] | None = json.loads(path.read_bytes())["benchmarks"].get(str(setting.batch))
    names = {row["row"]["name"] for row in found["rows"]} if found else set()
    return found if {backend, setting.backend} <= names else None


def _write(setting: Setting, name: str, numbers: dict[str, Any]) -> None:
    head = {"backend": name, "beside": setting.backend, "batch": setting.batch}
    write_record(setting, f"backend-{name}", head | numbers)


def _times(setting: Setting, benchmark: dict[str, Any], backend: str) -> float | None:
    """Return how often ``backend`` does the work of the one beside it; None where a row does not count.

    Raises:
        BackendError: The doctor could use the backend, and engine-bench could not.
    """
    for row in benchmark["rows"]:
        if row["row"]["name"] == backend and "reason" in row:
            raise BackendError(f"the doctor could use {backend}, engine-bench could not: {row['reason']}")
    # A dry run is too short for any row to be VALID.
    rate, beside = (rate_of(benchmark, one, only_valid=not setting.is_dry_run) for one in (backend, setting.backend))
    return None if rate is None or beside is None else rate / beside


if __name__ == "__main__":
    main()
