"""What stopping early saves: on published success probabilities through a simulated graph, and on a real graph.

    PYTHONPATH=tests python benchmarks/early_stopping.py catrs LOG --out benchmarks/results/early_stopping/catrs.json
    python benchmarks/early_stopping.py expect LOG... --out benchmarks/results/early_stopping/expected.json
    python benchmarks/early_stopping.py real PLAN DATA --sigma 0.12 --sigma 0.25 --work FOLDER --out FILE

`catrs` runs the real scheduler and the real procedures; only the votes are drawn at random, from the probability that
each line of a certification log proves. `expect` sums over all paths of a stopping table at these probabilities.
`real` certifies DATA with `fixed` and with `radii` under one seed; what it finds in FOLDER it continues, so that it may
be cut and started again.
"""

from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from provenance import provenance, write_result
from scipy import special

from purecert.engine.logs.cohen_tsv import CohenRow, read_cohen_tsv
from purecert.engine.procedures.choosing import procedure_for
from purecert.engine.procedures.outcomes import Certificate, Outcome
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.procedures.stopping import threshold_of
from purecert.engine.procedures.tables.rule import with_tables
from purecert.engine.running.scheduler import Finished, Job, Scheduler
from purecert.engine.statistics.bounds import clopper_pearson_lower, least_certifying
from purecert.engine.statistics.table_errors import expected, false_claims_at_most
from purecert.engine.statistics.table_making import is_reachable, make_table

_ALPHA = 1e-3
_SEED = 20260808
_RADII = (0.0, 0.25, 0.5, 0.75, 1.0)
_NO_PIXELS = np.zeros((1, 1, 1), np.uint8)


@click.group()
def main() -> None:
    """Measure what stopping early saves."""


@main.command()
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--sigma", default=0.5)
@click.option("--n", default=100_000)
@click.option("--batch", default=512)
@click.option("--limit", default=10_000, help="Images, at the most.")
@click.option("--by", "ways", type=click.Choice(["tables", "bounds"]), multiple=True, default=("tables", "bounds"))
@click.option("--out", type=click.Path(path_type=Path))
def catrs(log: Path, sigma: float, n: int, batch: int, limit: int, ways: tuple[str, ...], out: Path | None) -> None:
    """Stop early on the probabilities that LOG proves."""
    rows = read_cohen_tsv(log).rows[:limit]
    laws, labels = laws_of(rows, sigma, n), [row.label for row in rows]
    results = []
    for against_label in (False, True):
        fixed = SmoothingSpec(mode="certify", sigma=sigma, n_estimate=n, alpha=_ALPHA, against_label=against_label)
        usual, _ = simulate(laws, labels, fixed, batch)
        for radii, by in product(((0.5,), _RADII), ways):
            stop = StopSpec(rule="radii", radii=radii, alpha_final=_ALPHA / 2, alpha_refute=_ALPHA)
            spec = replace(fixed, stop=stop) if by == "bounds" else with_tables(replace(fixed, stop=stop), 0.0)
            ends, numbers = simulate(laws, labels, spec, batch)
            numbers |= {"radii": list(radii), "against_label": against_label, "by": by}
            results.append(numbers | _agreement(ends, usual, laws, labels, radii, fixed))
            click.echo(results[-1])
    if out is not None:
        setting = {"log": "/".join(log.parts[-4:]), "sigma": sigma, "n": n, "alpha": _ALPHA, "batch": batch}
        write_result(out, _head(("numpy", "scipy")), setting | {"images": len(rows), "results": results})


@main.command()
@click.argument("logs", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--n", default=100_000)
@click.option("--radius", "radii", type=float, multiple=True, default=(0.5,))
@click.option("--price", "prices", type=float, multiple=True, default=(1e6, 3e5, 1e5))
@click.option("--out", type=click.Path(path_type=Path))
def expect(
    logs: tuple[Path, ...], n: int, radii: tuple[float, ...], prices: tuple[float, ...], out: Path | None
) -> None:
    """Compute what a stopping table draws and certifies on the probabilities of LOGS, by exact sums: no draw is made.

    The noise std is the number in a log's name, as in noise_0.5.tsv.
    """
    results = []
    for log in logs:
        sigma = float(log.stem.removeprefix("noise_"))
        laws = laws_of(read_cohen_tsv(log).rows, sigma, n)
        p, images = np.unique(np.minimum(laws.max(axis=1), 1 - 1e-9), return_counts=True)
        for radius, price in product(radii, prices):
            threshold = threshold_of(radius, sigma, 0.0)
            if is_reachable(threshold, n, _ALPHA):
                results.append({"log": "/".join(log.parts[-4:]), "sigma": sigma, "radius": radius, "price": price})
                results[-1] |= _expected(threshold, n, price, p, images)
                click.echo(results[-1])
    if out is not None:
        setting = {"n": n, "alpha": _ALPHA, "n0": 100}
        write_result(out, _head(("numpy", "scipy")), setting | {"results": results})


def _expected(
    threshold: float, n: int, price: float, p: NDArray[np.float64], images: NDArray[np.int64]
) -> dict[str, float]:
    """Return what a table draws and certifies where ``images[i]`` images have the probability ``p[i]``."""
    began = perf_counter()
    table = make_table(threshold, n, _ALPHA, price)
    seconds = perf_counter() - began
    certified, draws = expected(table, p)
    least = least_certifying(threshold, n, _ALPHA)
    mean = float((draws * images).sum() / images.sum())
    by_fixed = float((special.bdtrc(least - 1, n, p) * images).sum())
    return {
        "error_at_most": false_claims_at_most(table),
        "mean_draws_without_n0": mean,
        "times_fewer_than_n": n / (mean + 100),
        "certified": float((certified * images).sum()),
        "certified_by_fixed": by_fixed,
        "share_of_fixed": float((certified * images).sum()) / by_fixed,
        "seconds_to_make": seconds,
    }


def laws_of(rows: tuple[CohenRow, ...], sigma: float, n: int) -> NDArray[np.float64]:
    """Return each image's law over ten classes and invalid rows: the predicted class, and one rival with the rest.

    An image that abstained has one half for its label. A wrong image's rival is its label.
    """
    k = np.arange(n // 2, n + 1)
    bounds = clopper_pearson_lower(k, n, _ALPHA)
    laws = np.zeros((len(rows), 11))
    for law, row in zip(laws, rows, strict=True):
        p = 0.5
        if row.radius:
            nearest = np.argmin(np.abs(bounds - special.ndtr(row.radius / sigma)))
            p = k[nearest] / n
        top = row.label if row.predicted is None else row.predicted
        law[top], law[row.label if top != row.label else (top + 1) % 10] = p, 1 - p
    return laws


def simulate(
    laws: NDArray[np.float64], labels: list[int], spec: SmoothingSpec, batch: int
) -> tuple[list[Finished], dict[str, Any]]:
    from support.simulated_graph import SimulatedGraph  # of the tests, which `real` does without

    scheduler = Scheduler(SimulatedGraph(laws, seed=_SEED, batch=batch))
    began = perf_counter()
    jobs = (
        Job(image_index=i, pixels=_NO_PIXELS, procedure=procedure_for(spec, 0.0, label))
        for i, label in enumerate(labels)
    )
    ends = list(scheduler.run(jobs))
    usage = scheduler.usage
    mean = usage.rows / len(ends)
    numbers = asdict(usage) | {
        "needless_share": usage.needless_share,
        "mean_draws": mean,
        "times_fewer_than_n": spec.n_estimate / mean,
        "times_fewer_than_fixed": spec.max_rows / mean,
        "mean_looks": sum(end.looks for end in ends) / len(ends),
        "seconds": perf_counter() - began,
    }
    return ends, numbers


def _agreement(
    ends: list[Finished],
    usual: list[Finished],
    laws: NDArray[np.float64],
    labels: list[int],
    radii: tuple[float, ...],
    fixed: SmoothingSpec,
) -> dict[str, Any]:
    """Count where the label is certified at a radius by one and not by the other, and where fixed n is sure there.

    Fixed n is sure of a radius where its answer is the right one with probability 1 - alpha.
    """
    n, alpha = fixed.n_estimate, fixed.alpha
    p = laws[np.arange(len(labels)), labels]
    few = special.bdtrik(alpha, n, np.clip(p, 0.25, 1 - 1e-12))  # below one half nothing is certified anyway
    least = clopper_pearson_lower(np.floor(few), n, alpha)
    found = []
    for radius in radii:
        claims, fixed_claims = (
            np.array([_claims(end.outcome, label, radius) for end, label in zip(some, labels, strict=True)])
            for some in (ends, usual)
        )
        threshold = special.ndtr(radius / fixed.sigma)
        sure = (threshold < least) | (threshold >= p)
        found.append(
            {
                "radius": radius,
                "certified": int(claims.sum()),
                "certified_by_fixed": int(fixed_claims.sum()),
                "differing": int((claims != fixed_claims).sum()),
                "differing_where_fixed_is_sure": int(((claims != fixed_claims) & sure).sum()),
                "false": int((claims & (p <= threshold)).sum()),
            }
        )
    return {"agreement": found}


def _claims(outcome: Outcome, label: int, radius: float) -> bool:
    return isinstance(outcome, Certificate) and outcome.predicted == label and outcome.radius > radius


@main.command()
@click.argument("plan_directory", metavar="PLAN", type=click.Path(path_type=Path))
@click.argument("data")
@click.option("--sigma", "sigmas", type=float, multiple=True, required=True)
@click.option("--n", default=10_000)
@click.option("--batch", default=256)
@click.option("--threads", default=2)
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Run directories, continued if there.")
@click.option("--out", type=click.Path(path_type=Path))
def real(
    plan_directory: Path, data: str, sigmas: tuple[float, ...], n: int, batch: int, threads: int, work: Path, out: Path
) -> None:
    """Certify DATA with PLAN on ONNX Runtime by both modes, and compare."""
    from purecert.engine.backends.base import BackendOptions
    from purecert.engine.images.datasets import load_dataset
    from purecert.engine.plans.plan import read_plan
    from purecert.engine.running.progress import TerminalProgress
    from purecert.engine.running.run import RunRequest, execute

    plan, dataset = read_plan(plan_directory), load_dataset(data, None)
    stop = StopSpec(rule="radii", radii=_RADII, alpha_final=_ALPHA / 2, alpha_refute=_ALPHA)
    results = []
    for sigma in sigmas:
        runs = {}
        for mode, rule in (("radii", stop), ("fixed", None)):
            spec = SmoothingSpec(mode="certify", sigma=sigma, n_estimate=n, alpha=_ALPHA, stop=rule)
            request = RunRequest(
                plan=plan,
                dataset=dataset,
                spec=spec,
                backend=BackendOptions(batch=batch, threads=threads),
                output=work / f"{mode}-{sigma}",
                seed=_SEED,
                resume=True,
                invocation={"plan": str(plan_directory), "data": data, "data_dir": None},
            )
            runs[mode] = execute(request, TerminalProgress(len(dataset), spec.max_rows))
        results.append({"sigma": sigma} | _pair(runs))
        click.echo(results[-1])
    if out is not None:
        setting = {"data_images": len(dataset), "n": n, "alpha": _ALPHA, "batch": batch, "threads": threads}
        write_result(out, _head(("numpy", "scipy", "onnxruntime")), setting | {"results": results})


def _pair(runs: dict[str, Any]) -> dict[str, Any]:
    """Return what two runs of one seed took and how far they agree: the draws of one are the first of the other's."""
    numbers: dict[str, Any] = {}
    for mode, run in runs.items():
        draws = sum(sum(phase.values()) for row in run.lines for phase in row.counts)
        numbers[mode] = {"draws": draws, "seconds": _seconds(run.directory), "usage": _usage(run.directory)}
    seconds = [numbers[mode]["seconds"] for mode in ("fixed", "radii")]
    numbers["seconds_ratio"] = seconds[0] / seconds[1]
    numbers["draws_ratio"] = numbers["fixed"]["draws"] / numbers["radii"]["draws"]
    numbers["agreement"] = [
        {"radius": radius} | _decisions(runs["fixed"].lines, runs["radii"].lines, radius) for radius in _RADII
    ]
    return numbers


def _decisions(fixed: tuple[Any, ...], early: tuple[Any, ...], radius: float) -> dict[str, int]:
    pairs = [tuple(_claims(row.outcome, row.label, radius) for row in both) for both in zip(fixed, early, strict=True)]
    return {
        "certified_by_fixed": sum(one for one, _ in pairs),
        "certified": sum(two for _, two in pairs),
        "differing": sum(one != two for one, two in pairs),
    }


def _seconds(run: Path) -> float:
    """Return the time between the ends of images, of all sessions together."""
    import json

    return sum(float(json.loads(line)["seconds"]) for line in (run / "timings.jsonl").read_text().splitlines())


def _usage(run: Path) -> list[Any]:
    import json

    return [json.loads(line) for line in (run / "usage.jsonl").read_text().splitlines()]


def _head(packages: tuple[str, ...]) -> dict[str, Any]:
    return provenance(packages, environment="PYTHONPATH=tests")


if __name__ == "__main__":
    main()
