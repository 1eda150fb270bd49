"""What stopping early saves on a real graph: wall clock and draws of three ways to decide the same radii.

`tables` is mode radii as it is; `bounds` is what it was before there were tables, and still is under static placement;
`fixed` draws all n. All three share a seed, so the draws of each are the first of `fixed`'s. What is found in the work
folder is continued, so that a run may be cut and started again.
"""

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

import click
import numpy as np
from numpy.typing import NDArray
from provenance import provenance, write_result
from scipy import special

from purecert.engine.backends.base import BackendOptions
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import read_plan
from purecert.engine.procedures.outcomes import Certificate, Outcome
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.records.lines import Line
from purecert.engine.records.run import Run
from purecert.engine.running.progress import TerminalProgress
from purecert.engine.running.run import RunRequest, execute
from purecert.engine.statistics.bounds import clopper_pearson_lower

ALPHA = 1e-3
SEED = 20260808
RADII = (0.0, 0.25, 0.5, 0.75, 1.0)
_BOUNDS = StopSpec(rule="radii", radii=RADII, alpha_final=ALPHA / 2, alpha_refute=ALPHA)
_WAYS = {"tables": StopSpec(rule="radii", radii=RADII), "bounds": _BOUNDS, "fixed": None}


@click.command()
@click.argument("plan_directory", metavar="PLAN", type=click.Path(path_type=Path))
@click.argument("data")
@click.option("--sigma", "sigmas", type=float, multiple=True, required=True)
@click.option("--n", default=10_000)
@click.option("--batch", default=256)
@click.option("--threads", default=2)
@click.option("--probe-rows", default=1000, help="Rows of the row check.")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Run directories, continued if there.")
@click.option("--out", type=click.Path(path_type=Path))
def real(
    plan_directory: Path,
    data: str,
    sigmas: tuple[float, ...],
    n: int,
    batch: int,
    threads: int,
    probe_rows: int,
    work: Path,
    out: Path | None,
) -> None:
    """Certify DATA with PLAN on ONNX Runtime in all three ways, and compare."""
    plan, dataset = read_plan(plan_directory), load_dataset(data, None)
    backend, results = BackendOptions(batch=batch, threads=threads, probe_rows=probe_rows), []
    for sigma in sigmas:
        runs, seconds = dict[str, Run](), dict[str, float]()
        for way, stop in _WAYS.items():
            request = RunRequest(
                plan=plan,
                dataset=dataset,
                spec=SmoothingSpec(mode="certify", sigma=sigma, n_estimate=n, alpha=ALPHA, stop=stop),
                backend=backend,
                output=work / f"{way}-{sigma}",
                seed=SEED,
                resume=True,
                invocation={"plan": str(plan_directory), "data": data, "data_dir": None},
            )
            began = perf_counter()
            with _deciding_by(way):
                runs[way] = execute(request, TerminalProgress(len(dataset), request.spec.max_rows))
            seconds[way] = perf_counter() - began
            _check_way(runs[way], way)
        results.append({"sigma": sigma} | compared(runs, seconds))
        click.echo(results[-1])
    if out is not None:
        setting = {"data_images": len(dataset), "n": n, "alpha": ALPHA, "radii": RADII, "batch": batch}
        head = provenance(("numpy", "scipy", "onnxruntime"))
        write_result(out, head, setting | {"threads": threads, "results": results})


def _deciding_by(way: str) -> AbstractContextManager[object]:
    """Return where tables are not made although rows may lie anywhere: mode radii as it was before there were any."""
    if way != "bounds":
        return nullcontext()
    return patch("purecert.engine.running.run.with_tables", lambda spec, tv, make: spec)


def _check_way(run: Run, way: str) -> None:
    if bool(run.record.spec.tables) != (way == "tables"):
        raise InputError(
            f"{run.directory}: expected a run of the way {way}, found another; choose another --work, and a backend "
            "whose rows may lie anywhere in a batch"
        )


def compared(runs: dict[str, Run], seconds: dict[str, float]) -> dict[str, Any]:
    """Return what the runs took, how much less than fixed n each did, and how far they decide alike.

    Args:
        runs: Way -> run; ``fixed`` is one.
        seconds: Way -> wall clock of this session, with opening, row check and the making of tables.
    """
    took = {way: _cost(run) | {"seconds_with_start": seconds[way]} for way, run in runs.items()}
    numbers: dict[str, Any] = dict(took)
    for way in (way for way in runs if way != "fixed"):
        ratios = {f"{what}_ratio": took["fixed"][what] / took[way][what] for what in ("seconds", "draws")}
        agreement = [{"radius": radius} | _decisions(runs["fixed"], runs[way], radius) for radius in RADII]
        numbers[way] |= ratios | {"agreement": agreement}
    return numbers


def _cost(run: Run) -> dict[str, Any]:
    """Return draws, and the time between the ends of images, of all sessions together."""
    timings, usage = (
        [json.loads(line) for line in (run.directory / name).read_text().splitlines()]
        for name in ("timings.jsonl", "usage.jsonl")
    )
    draws = sum(sum(phase.values()) for line in run.lines for phase in line.counts)
    return {"draws": draws, "seconds": sum(float(each["seconds"]) for each in timings), "usage": usage}


def _decisions(fixed: Run, early: Run, radius: float) -> dict[str, int]:
    """Count the images that either way certifies at ``radius``, and those on which the ways differ.

    The truth is not known; taken for it is the share of the label among all n draws.
    """
    pairs = list(zip(fixed.lines, early.lines, strict=True))
    by_fixed, by_early = (_certified((pair[side] for pair in pairs), radius) for side in (0, 1))
    spec = fixed.record.spec
    share = np.array([line.counts[1].get(str(line.label), 0) / spec.n_estimate for line in fixed.lines])
    sure = fixed_is_sure(share, float(special.ndtr(radius / spec.sigma)), spec)
    return {
        "certified_by_fixed": int(by_fixed.sum()),
        "certified": int(by_early.sum()),
        "differing": int((by_fixed != by_early).sum()),
        "differing_where_fixed_is_sure": int(((by_fixed != by_early) & sure).sum()),
    }


def _certified(lines: Iterable[Line], radius: float) -> NDArray[np.bool_]:
    return np.array([claims_of(line.outcome, line.label, radius) for line in lines], bool)


def claims_of(outcome: Outcome, label: int | None, radius: float) -> bool:
    """Return whether ``outcome`` certifies ``label`` at ``radius``."""
    return isinstance(outcome, Certificate) and outcome.predicted == label and outcome.radius > radius


def fixed_is_sure(p: NDArray[np.float64], threshold: float, fixed: SmoothingSpec) -> NDArray[np.bool_]:
    """Return where fixed n answers rightly with probability 1 - alpha whether ``p`` exceeds ``threshold``."""
    n, alpha = fixed.n_estimate, fixed.alpha
    few = special.bdtrik(alpha, n, np.clip(p, 0.25, 1 - 1e-12))  # below one half nothing is certified anyway
    return np.asarray((threshold < clopper_pearson_lower(np.floor(few), n, alpha)) | (threshold >= p))
