"""Seconds per certificate of engine-certify on the GPU, from its own timings and from start to end."""

import json
from time import perf_counter
from typing import Any

import click
from certifying.engine_side import loop_seconds
from gpu.command import run_engine
from gpu.record import print_table, write_record
from gpu.setting import SEED, SIGMA, Setting, read_setting

from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import CheckError

_SELECTION = 100
_NOTE = "seconds of the loop over images: amortised, as the rows of several images are in flight at once"
# n, and how many images: few enough for the step's time, many enough that their rows fill hundreds or tens of batches.
_RUNS = ((100_000, 1), (10_000, 4), (1_000, 16))
_DRY_RUNS = ((400, 1), (100, 2))


@click.command(cls=EngineCommand)
@click.argument("name")
def main(name: str) -> None:
    """Certify a few images with plan NAME at several n; the last run is done twice and must repeat itself."""
    setting = read_setting()
    sizes = setting.pick(_RUNS, _DRY_RUNS)
    runs = []
    for (n, images), run in zip((*sizes, sizes[-1]), (*(str(n) for n, _ in sizes), "again"), strict=True):
        runs.append(_certify(setting, name, n, images, run))
        _write(setting, name, runs)
    if runs[-1]["certificates"] != runs[-2]["certificates"]:
        raise CheckError(f"expected the same certificates from the same seed, got others in {setting.work / 'runs'}")
    print_table(
        ("n", "images", "s per certificate, amortised over images in flight", "s in all, with start", "samples/s"),
        [
            (r["n"], r["images"], f"{r['seconds_per_certificate']:.3f}", f"{r['wall_seconds']:.1f}", f"{r['rate']:.0f}")
            for r in runs
        ],
    )


def _write(setting: Setting, name: str, runs: list[dict[str, Any]]) -> None:
    """Write the runs so far: the step may be cut short."""
    numbers = {"batch": setting.batch, "n0": _SELECTION, "seconds_per_certificate": _NOTE, "runs": runs}
    write_record(setting, f"certify-{name}", numbers)


def _certify(setting: Setting, name: str, n: int, images: int, run: str) -> dict[str, Any]:
    output = setting.work / "runs" / f"{name}-{run}"
    output.parent.mkdir(parents=True, exist_ok=True)
    data = setting.data(name).removesuffix("[:100]") + f"[:{images}]"
    places = ["--plan", str(setting.plan(name)), "--data", data, "--out", str(output), "--force"]
    draws = ["--sigma", str(SIGMA), "--seed", str(SEED), "--n0", str(_SELECTION), "--n", str(n)]
    backend = ["--backend", setting.backend, "--batch", str(setting.batch), "--threads", str(setting.threads)]
    backend += ["--probe-rows", str(setting.probe_rows)]
    began = perf_counter()
    run_engine("certify", *places, *draws, *backend, of=name)
    wall = perf_counter() - began
    loop = loop_seconds(output)
    return {
        "n": n,
        "images": images,
        "seconds_per_certificate": loop / images,
        "loop_seconds": loop,
        "wall_seconds": wall,
        "rate": images * (_SELECTION + n) / loop,
        "certificates": (output / "certificates.jsonl").read_text().splitlines(),
        "backend": json.loads((output / "run.json").read_bytes())["backend"],
    }


if __name__ == "__main__":
    main()
