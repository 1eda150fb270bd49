"""How near the best `--backend auto` picks: trials beside a longer measurement of every backend and batch.

    python benchmarks/auto_choice.py PLAN DATA RESULT.json [--sigma S] [--trials N] [--data-dir DIR]

A trial's pick counts as near where its rate, in the longer measurement, is at least 95 % of the best. What computes in
another precision than the plan's is not compared, since auto does not pick it either.
"""

from pathlib import Path

import click
from provenance import provenance, write_result

from purecert.engine.backends.base import BackendOptions
from purecert.engine.hardware import available_threads
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import read_plan
from purecert.engine.running.choosing import AUTO, Trial, chosen_backend

_NEAR = 0.95
_LONGER_WINDOWS = 8


@click.command()
@click.argument("plan_path", metavar="PLAN", type=click.Path(path_type=Path))
@click.argument("data")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--sigma", type=float, help="Of the plan's.  [default: its first]")
@click.option("--trials", default=10, show_default=True)
@click.option("--data-dir", type=click.Path(path_type=Path))
def main(plan_path: Path, data: str, output: Path, sigma: float | None, trials: int, data_dir: Path | None) -> None:
    """Write to OUTPUT what auto picks for PLAN on images of DATA, and the rates of all that it chooses among."""
    plan, images = read_plan(plan_path), load_dataset(data, data_dir).images
    at = plan.record.graphs[0].sigma if sigma is None else sigma
    asked = BackendOptions(name=AUTO, threads=available_threads())
    picks = [chosen_backend(plan, at, images, asked, None) for _ in range(trials)]
    longer = Trial(plan, at, images, windows=_LONGER_WINDOWS)
    found = longer.in_own_precision(longer.all_rates(available_threads())[0])
    rates = {(one.name, one.batch, one.threads): one.rate for one in found}
    best = max(rates.values())
    shares = [rates[pick.name, pick.batch, pick.threads] / best for pick in picks]
    numbers = {
        "precision": plan.record.precision,
        "rates": {
            f"{name}, batch {batch}, {threads} threads": round(rate, 1)
            for (name, batch, threads), rate in rates.items()
        },
        "picked": [f"{pick.name}, batch {pick.batch}, {pick.threads} threads" for pick in picks],
        "share_of_the_best": [round(share, 4) for share in shares],
        "near": sum(share >= _NEAR for share in shares),
    }
    write_result(output, provenance(("onnxruntime", "openvino")), numbers)
    click.echo(f"{numbers['near']} of {trials} picks reach 95 % of the best")


def _named(name: str, batch: int, threads: int) -> str:
    return f"{name}, batch {batch}, {threads} threads"


if __name__ == "__main__":
    main()
