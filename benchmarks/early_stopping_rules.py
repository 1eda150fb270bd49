"""What one radius costs by rules that one may choose from, on the probabilities of logs: sums over all paths, no draws.

A rule that looks at counts alone is a table: after so many draws it certifies from one number of successes on, and
gives up below another. So one sum serves for all. All but `table` look after every draw up to 60, then every 2 %.

`table`: mode radii. `mixture`: mode radii where a row's place matters, which was mode radii everywhere before there
were tables; the bound that holds at every n (engine/statistics/anytime.py) with half of alpha, the exact one after n
draws with the rest, giving up at alpha. `published KT`: both sides of Voracek's rule, undecided after n draws.
`p known`: a lower bound on the draws of any rule that certifies at each p as often as fixed n does. A test that errs
with at most alpha at the threshold and certifies with chance b >= alpha at p takes on average at least
d(b, alpha) / d(p, threshold) draws at p, d(x, y) being the relative entropy of two coins (Wald, 1945). For less, and at
or below the threshold, the bound is 0.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from early_stopping_laws import N0, Floats, read_probabilities, sums
from early_stopping_real import ALPHA
from numpy.typing import NDArray
from provenance import provenance, write_result
from scipy import special

from purecert.engine.procedures.stopping import threshold_of
from purecert.engine.statistics.bounds import least_certifying
from purecert.engine.statistics.stopping_tables import StoppingTable
from purecert.engine.statistics.table_errors import expected, false_claims_at_most
from purecert.engine.statistics.table_making import make_table

Integers = NDArray[np.int64]

_PRICE = 1e6


@click.command()
@click.argument("logs", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--n", default=100_000)
@click.option("--radius", default=0.5)
@click.option("--out", type=click.Path(path_type=Path))
def rules(logs: tuple[Path, ...], n: int, radius: float, out: Path | None) -> None:
    """Compare what rules draw and certify for one radius on the probabilities of LOGS."""
    results: list[dict[str, Any]] = []
    for log in logs:
        sigma, p, images = read_probabilities(log, n)
        threshold = threshold_of(radius, sigma, 0.0)
        by_fixed = special.bdtrc(least_certifying(threshold, n, ALPHA) - 1, n, p)
        made = {name: (*expected(table, p), false_claims_at_most(table)) for name, table in _tables(threshold, n)}
        made["p known"] = by_fixed, least_draws(p, threshold, by_fixed), ALPHA
        for name, (certified, draws, error) in made.items():
            results.append({"log": "/".join(log.parts[-4:]), "sigma": sigma, "rule": name, "error_at_most": error})
            results[-1] |= sums(images, n, draws, certified, by_fixed)
            click.echo(results[-1])
    if out is not None:
        setting = {"n": n, "alpha": ALPHA, "n0": N0, "radius": radius, "price": _PRICE}
        head = provenance(("numpy", "scipy"), environment="PYTHONPATH=tests OMP_NUM_THREADS=1")
        write_result(out, head, setting | {"results": results})


def least_draws(p: Floats, threshold: float, certifies: Floats) -> Floats:
    """Return the fewest draws on average, at each ``p``, of tests that certify there with the chances ``certifies``."""
    needed = (p > threshold) & (certifies > ALPHA)
    apart = special.rel_entr(p, threshold) + special.rel_entr(1 - p, 1 - threshold)
    told = special.rel_entr(certifies, ALPHA) + special.rel_entr(1 - certifies, 1 - ALPHA)
    return np.asarray(np.divide(told, apart, out=np.zeros_like(p), where=needed))


def _tables(threshold: float, n: int) -> list[tuple[str, StoppingTable]]:
    from support.procedure_audit.crossing import least_successes, most_successes, published_rule  # of the tests

    table, looks = make_table(threshold, n, ALPHA, _PRICE), _looks(n)
    mixture = least_successes(threshold, ALPHA / 2, looks)
    mixture[-1] = min(mixture[-1], least_certifying(threshold, n, ALPHA / 2))
    return [
        ("table", table),
        ("mixture", _with_bounds(table, looks, mixture, most_successes(threshold, ALPHA, looks))),
        ("published KT", _with_bounds(table, looks, *published_rule(threshold, ALPHA, looks))),
    ]


def _looks(n: int) -> Integers:
    looks = [1]
    while looks[-1] < n:
        looks.append(min(n, max(looks[-1] + 1, int(looks[-1] * 1.02)) if looks[-1] >= 60 else looks[-1] + 1))
    return np.array(looks)


def _with_bounds(table: StoppingTable, looks: Integers, high: Integers, low: Integers) -> StoppingTable:
    """Return another rule for the threshold of ``table``; what is open after its last look is given up."""
    low = np.append(low[:-1], high[-1] - 1)
    return replace(table, looks=tuple(looks.tolist()), high=tuple(high.tolist()), low=tuple(low.tolist()))
