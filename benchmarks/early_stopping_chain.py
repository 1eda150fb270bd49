"""What several stopping tables over the same draws take and certify, simulated in NumPy without the engine's rules.

Each image has its success probability from a log. Its class is picked by n0 draws, as the engine picks it; then all
tables look at one path of draws until each has certified or given up. A radius given up gives up the larger ones, and
one counts only if all smaller ones are certified.
"""

from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any

import click
import numpy as np
from early_stopping_laws import N0, laws_of
from early_stopping_real import ALPHA, RADII
from numpy.typing import NDArray
from provenance import provenance, write_result
from scipy import special

from purecert.engine.logs.cohen_tsv import read_cohen_tsv
from purecert.engine.procedures.stopping import threshold_of
from purecert.engine.statistics.bounds import least_certifying
from purecert.engine.statistics.stopping_tables import StoppingTable
from purecert.engine.statistics.table_making import is_reachable, make_table

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@click.command()
@click.argument("logs", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--n", default=100_000)
@click.option("--radius", "radii", type=float, multiple=True, default=RADII)
@click.option("--price", "prices", type=float, multiple=True, default=(1e6,), help="One for each setting.")
@click.option("--repeats", default=20, help="Runs of all images.")
@click.option("--out", type=click.Path(path_type=Path))
def chain(
    logs: tuple[Path, ...], n: int, radii: tuple[float, ...], prices: tuple[float, ...], repeats: int, out: Path | None
) -> None:
    """Simulate mode radii on the probabilities of LOGS, by the tables alone."""
    results = []
    for log in logs:
        sigma = float(log.stem.removeprefix("noise_"))
        p = laws_of(read_cohen_tsv(log).rows, sigma, n).max(axis=1)
        reached = {r: t for r in radii if is_reachable(t := threshold_of(r, sigma, 0.0), n, ALPHA)}
        for price in prices:
            began = process_time()
            tables = [make_table(threshold, n, ALPHA, price) for threshold in reached.values()]
            seconds = process_time() - began
            results.append({"log": "/".join(log.parts[-4:]), "sigma": sigma, "price": price, "radii": list(reached)})
            results[-1] |= {"seconds_to_make": seconds} | _runs(tables, p, repeats)
            click.echo(results[-1])
    if out is not None:
        setting = {"n": n, "alpha": ALPHA, "n0": N0, "repeats": repeats}
        head = provenance(("numpy", "scipy"), environment="PYTHONPATH=tests OMP_NUM_THREADS=1")
        write_result(out, head, setting | {"results": results})


def _runs(tables: Sequence[StoppingTable], p: Floats, repeats: int) -> dict[str, Any]:
    """Return the mean over runs of all images, with the deviation of one run and the error of the mean."""
    rng, n = np.random.default_rng(20260808), tables[0].n
    picked = _picked(p, rng, repeats)
    draws, certified = follow(tables, picked.ravel(), rng)
    means = draws.reshape(picked.shape).mean(axis=1)
    counts = certified.reshape(*picked.shape, len(tables)).sum(axis=1)
    mean, deviation = float(means.mean()), float(means.std(ddof=1))
    by_fixed = [
        float(special.bdtrc(least_certifying(t.threshold, n, ALPHA) - 1, n, picked).sum(axis=1).mean()) for t in tables
    ]
    return {
        "mean_draws_without_n0": mean,
        "deviation_of_one_run": deviation,
        "standard_error": deviation / repeats**0.5,
        "times_fewer_than_n": n / (mean + N0),
        "certified": counts.mean(axis=0).tolist(),
        "certified_standard_error": (counts.std(axis=0, ddof=1) / repeats**0.5).tolist(),
        "certified_by_fixed": by_fixed,
    }


def _picked(p: Floats, rng: np.random.Generator, repeats: int) -> Floats:
    """Return the probability of the class that n0 draws pick, [repeats, images]: the likelier one's or its rival's."""
    votes = rng.binomial(N0, p, (repeats, len(p)))
    ties = rng.random(votes.shape) < 0.5
    return np.where((votes * 2 > N0) | ((votes * 2 == N0) & ties), p, 1 - p)


def follow(tables: Sequence[StoppingTable], p: Floats, rng: np.random.Generator) -> tuple[NDArray[np.int64], Flags]:
    """Return of each image how many draws its tables took, and which of its radii count as certified."""
    bounds = [dict(zip(t.looks, zip(t.low, t.high, strict=True), strict=True)) for t in tables]
    k, used = np.zeros(len(p), np.int64), np.zeros(len(p), np.int64)
    is_open, certified = np.ones((len(p), len(tables)), bool), np.zeros((len(p), len(tables)), bool)
    active, before = np.arange(len(p)), 0
    for draws in sorted(set().union(*bounds)):
        k[active] += rng.binomial(draws - before, p[active])
        before = draws
        for place, table in enumerate(bounds):
            if draws in table:
                low, high = table[draws]
                asked = active[is_open[active, place]]
                up, down = asked[k[asked] >= high], asked[k[asked] <= low]
                certified[up, place], is_open[up, place] = True, False
                is_open[down, place:] = False
        ended = ~is_open[active].any(axis=1)
        used[active[ended]] = draws
        active = active[~ended]
        if not len(active):
            break
    return used, np.logical_and.accumulate(certified, axis=1)
