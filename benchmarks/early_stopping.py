"""What stopping early saves: on published success probabilities through a simulated graph, and on a real graph.

    PYTHONPATH=tests python benchmarks/early_stopping.py catrs LOG --out benchmarks/results/early_stopping/catrs.json
    python benchmarks/early_stopping.py expect LOG... --out benchmarks/results/early_stopping/expected.json
    python benchmarks/early_stopping.py real PLAN DATA --sigma 0.12 --sigma 0.25 --work FOLDER --out FILE

`catrs` runs the real scheduler and the real procedures; only the votes are drawn at random, from the probability that
each line of a certification log proves. `expect` sums over all paths of a stopping table at these probabilities, and
`chain` (early_stopping_chain.py) simulates several tables over one path, without the engine's rules.
`rules` (early_stopping_rules.py) sets tables beside other rules and the floor, by the same sums.
`errors` (early_stopping_errors.py) sums the error of every such table by a program of its own.
`real` (early_stopping_real.py) certifies DATA with tables, with the bound that holds at every n, and with a fixed n.
"""

from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
from early_stopping_chain import chain
from early_stopping_errors import errors
from early_stopping_laws import N0, laws_of, read_probabilities, sums
from early_stopping_real import ALPHA as _ALPHA
from early_stopping_real import RADII as _RADII
from early_stopping_real import SEED as _SEED
from early_stopping_real import claims_of, fixed_is_sure, real
from early_stopping_rules import rules
from numpy.typing import NDArray
from provenance import provenance, write_result
from scipy import special

from purecert.engine.logs.cohen_tsv import read_cohen_tsv
from purecert.engine.procedures.choosing import looks_of, procedure_for
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.procedures.stopping import threshold_of
from purecert.engine.procedures.tables.rule import with_tables
from purecert.engine.running.scheduler import Finished, Job, Scheduler
from purecert.engine.statistics.bounds import least_certifying
from purecert.engine.statistics.table_errors import expected, false_claims_at_most
from purecert.engine.statistics.table_making import is_reachable, make_table

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
        sigma, p, images = read_probabilities(log, n)
        for radius, price in product(radii, prices):
            threshold = threshold_of(radius, sigma, 0.0)
            if is_reachable(threshold, n, _ALPHA):
                results.append({"log": "/".join(log.parts[-4:]), "sigma": sigma, "radius": radius, "price": price})
                results[-1] |= _expected(threshold, n, price, p, images)
                click.echo(results[-1])
    if out is not None:
        setting = {"n": n, "alpha": _ALPHA, "n0": N0}
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
    found = sums(images, n, draws, certified, special.bdtrc(least - 1, n, p))
    return {
        "error_at_most": false_claims_at_most(table),
        **found,
        "share_of_fixed": found["certified"] / found["certified_by_fixed"],
        "seconds_to_make": seconds,
    }


def simulate(
    laws: NDArray[np.float64], labels: list[int], spec: SmoothingSpec, batch: int
) -> tuple[list[Finished], dict[str, Any]]:
    from support.simulated_graph import SimulatedGraph  # of the tests, which `real` does without

    scheduler = Scheduler(SimulatedGraph(laws, seed=_SEED, batch=batch))
    began = perf_counter()
    looks = looks_of(spec, 0.0)
    jobs = (
        Job(image_index=i, pixels=_NO_PIXELS, procedure=procedure_for(spec, 0.0, label), looks=looks)
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
    p = laws[np.arange(len(labels)), labels]
    found = []
    for radius in radii:
        claims, fixed_claims = (
            np.array([claims_of(end.outcome, label, radius) for end, label in zip(some, labels, strict=True)])
            for some in (ends, usual)
        )
        threshold = special.ndtr(radius / fixed.sigma)
        sure = fixed_is_sure(p, float(threshold), fixed)
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


def _head(packages: tuple[str, ...]) -> dict[str, Any]:
    return provenance(packages, environment="PYTHONPATH=tests")


main.add_command(real)
main.add_command(chain)
main.add_command(errors)
main.add_command(rules)

if __name__ == "__main__":
    main()
