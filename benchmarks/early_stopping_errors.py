"""How often stopping tables err at their thresholds, by a sum that shares no code with those that make or check them.

The law of the successes is carried from look to look: convolved with the binomial law of the draws in between, of
weights from logarithms of factorials, and cut where the table ends. All terms are positive, so their relative errors
do not cancel. A weight is right to 1e-9 (lgamma of 10^5 is right to 1e-15 of 10^6), a convolution of m terms adds m
units of 1.2e-16, and there are fewer than 500 looks: together less than 1e-6, which is added to every sum.
"""

from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
from early_stopping_real import ALPHA, RADII
from numpy.typing import NDArray
from provenance import provenance, write_result
from scipy.special import gammaln

from purecert.engine.procedures.stopping import threshold_of
from purecert.engine.statistics.stopping_tables import StoppingTable
from purecert.engine.statistics.table_errors import false_claims_at_most
from purecert.engine.statistics.table_making import is_reachable, make_table

_OUTWARD = 1e-6


@click.command()
@click.option("--sigma", "sigmas", type=float, multiple=True, default=(0.25, 0.5, 1.0))
@click.option("--radius", "radii", type=float, multiple=True, default=RADII)
@click.option("--price", "prices", type=float, multiple=True, default=(1e6, 3e5, 1e5))
@click.option("--n", default=100_000)
@click.option("--out", type=click.Path(path_type=Path))
def errors(
    sigmas: tuple[float, ...], radii: tuple[float, ...], prices: tuple[float, ...], n: int, out: Path | None
) -> None:
    """Sum the error of every table of these settings anew, and fail if one is above alpha."""
    results: list[dict[str, Any]] = []
    thresholds = {(sigma, radius): threshold_of(radius, sigma, 0.0) for sigma, radius in product(sigmas, radii)}
    for ((sigma, radius), threshold), price in product(thresholds.items(), prices):
        if is_reachable(threshold, n, ALPHA):
            table = make_table(threshold, n, ALPHA, price)
            results.append({"sigma": sigma, "radius": radius, "price": price, "looks": len(table.looks)})
            results[-1] |= {"error_at_most": error_at_most(table), "claimed": false_claims_at_most(table)}
            click.echo(results[-1])
    if out is not None:
        head = provenance(("numpy", "scipy"), environment="OMP_NUM_THREADS=1")
        write_result(out, head, {"n": n, "alpha": ALPHA, "results": results})
    if any(result["error_at_most"] > ALPHA for result in results):
        raise click.ClickException("a table errs more often than alpha")


def error_at_most(table: StoppingTable) -> float:
    """Return the probability to certify at the threshold, rounded outward."""
    p, mass, first, before, certified = table.threshold, np.ones(1), 0, 0, 0.0
    for draws, high, low in zip(table.looks, table.high, table.low, strict=True):
        mass, before = np.convolve(mass, _law(draws - before, p)), draws
        k = first + np.arange(len(mass))
        certified += float(mass[k >= high].sum())
        stays = (k > low) & (k < high)
        mass, first = mass[stays], int(k[stays][0]) if stays.any() else 0
    return certified * (1 + _OUTWARD)


def _law(draws: int, p: float) -> NDArray[np.float64]:
    """Return the probabilities of 0 to ``draws`` successes."""
    k = np.arange(draws + 1)
    ways = gammaln(draws + 1) - gammaln(k + 1) - gammaln(draws - k + 1)
    return np.exp(ways + k * np.log(p) + (draws - k) * np.log1p(-p))
