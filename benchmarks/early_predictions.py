"""Ways to end an early prediction, against each other: mean draws and answers on published success probabilities.

    PYTHONPATH=tests python benchmarks/early_predictions.py rules LOG... --out early-predictions.json
    PYTHONPATH=tests python benchmarks/early_predictions.py run LOG --out early-predictions-run.json

`rules` simulates the counts of each image once and lets every rule look at them, after each draw up to 60 and then at
every 2 %. `run` takes the real scheduler and the real procedure, at batch 512. A log has each image's largest
probability and not its rivals', so three kinds are taken: one rival with all the rest; nine with as much each; and
rivals that fall (each has .6 of what is left), where images that abstained have a probability of .2 to .5, not .5.
Draws are without the 100 of the selection.
"""

from pathlib import Path
from typing import Any

import click
import numpy as np
from early_stopping import simulate
from early_stopping_laws import laws_of
from prediction_rules import ALPHA, Choice, Duels, DuelTables, Floats, Floor, Rule, Split, Table
from provenance import provenance, write_result

from purecert.engine.logs.cohen_tsv import read_cohen_tsv
from purecert.engine.procedures.outcomes import Prediction
from purecert.engine.procedures.spec import DEFAULT_LEAST_CHANCE, SmoothingSpec, StopSpec
from purecert.engine.statistics.table_making import schedule

_SEED, _N0 = 20260808, 100
_KINDS = ("one rival", "rivals that fall", "nine rivals alike")
_CHANCES = (1e-2, 1e-3, 1e-4)


@click.group()
def main() -> None:
    """Compare ways to end an early prediction."""


@main.command()
@click.argument("logs", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--n", "sizes", multiple=True, default=(1_000, 10_000, 100_000))
@click.option("--limit", default=1_000, help="Images of a log, at the most.")
@click.option("--out", type=click.Path(path_type=Path))
def rules(logs: tuple[Path, ...], sizes: tuple[int, ...], limit: int, out: Path | None) -> None:
    """Let every rule look at the same counts."""
    head, results = _head(), []
    for log in logs:
        for kind in _KINDS:
            laws = _laws(log, kind, limit)
            for n in sizes:
                found = _compared(laws, n)
                results.append({"log": "/".join(log.parts[-4:]), "rivals": kind, "n": n, "rules": found})
                click.echo(results[-1])
    if out is not None:
        setting = {"alpha": ALPHA, "n0": _N0, "images": limit}
        write_result(out, head, setting | {"results": results})


@main.command()
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--n", default=10_000)
@click.option("--batch", default=512)
@click.option("--limit", default=1_000)
@click.option("--out", type=click.Path(path_type=Path))
def run(log: Path, n: int, batch: int, limit: int, out: Path | None) -> None:
    """Run the engine's own procedure, with and without giving up, through the scheduler."""
    head, results = _head(), []
    for kind in _KINDS[:2]:
        laws = _laws(log, kind, limit)
        labels = [int(label) for label in laws.argmax(axis=1)]
        for chance in (None, DEFAULT_LEAST_CHANCE):
            stop = StopSpec(rule="answer", alpha_refute=ALPHA, least_chance=chance)
            spec = SmoothingSpec(mode="predict", sigma=0.5, n_estimate=n, alpha=ALPHA, stop=stop)
            ends, numbers = simulate(np.pad(laws, ((0, 0), (0, 1))), labels, spec, batch)
            answers = sum(isinstance(end.outcome, Prediction) for end in ends)
            results.append({"rivals": kind, "least_chance": chance, "answers": answers} | numbers)
            click.echo(results[-1])
    if out is not None:
        setting = {"log": "/".join(log.parts[-4:]), "n": n, "alpha": ALPHA, "batch": batch, "images": limit}
        write_result(out, head, setting | {"results": results})


def _head() -> dict[str, Any]:
    """Return where the numbers come from, as the checkout stands before they are computed."""
    return provenance(("numpy", "scipy"), environment="PYTHONPATH=tests")


def _laws(log: Path, kind: str, limit: int) -> Floats:
    """Return each image's probabilities [images, classes], the largest first."""
    sigma = float(log.stem.removeprefix("noise_"))
    p = laws_of(read_cohen_tsv(log).rows[:limit], sigma, 100_000).max(axis=1)
    shares = np.array([1.0, *[0.0] * 8]) if kind == "one rival" else np.full(9, 1 / 9)
    if kind == "rivals that fall":
        shares = 0.6 * 0.4 ** np.arange(9)
        shares /= shares.sum()
        p = np.where(p == 0.5, np.random.default_rng(_SEED).uniform(0.2, 0.5, len(p)), p)
    laws = np.column_stack([p, (1 - p)[:, None] * shares])
    return np.sort(laws, axis=1)[:, ::-1].copy()


def _compared(laws: Floats, n: int) -> dict[str, dict[str, float]]:
    """Return of each rule what it draws and answers."""
    random, images = np.random.default_rng(_SEED), len(laws)
    selected = np.stack([random.multinomial(_N0, law) for law in laws])
    candidate, each = selected.argmax(axis=1), np.arange(images)
    laws = laws.copy()
    laws[each, 0], laws[each, candidate] = laws[each, candidate], laws[each, 0]
    compared = _rules(laws, n, selected.max(axis=1) / _N0)
    counts, before, alive = np.zeros(laws.shape, np.int64), 0, each
    for at in schedule(n):
        counts[alive] += random.multinomial(at - before, laws[alive])
        before = at
        for rule in compared.values():
            rule.look(at, alive, counts[alive, 0], counts[alive, 1:])
        alive = np.flatnonzero(np.any([rule.is_open for rule in compared.values()], axis=0))
    is_wrong = laws[:, 0] < laws[:, 1:].max(axis=1)
    return {
        name: {
            "mean_draws": float(rule.draws.mean()),
            "answers": int(rule.answered.sum()),
            "wrong": int((rule.answered & is_wrong).sum()),
        }
        for name, rule in compared.items()
    }


def _rules(laws: Floats, n: int, share: Floats) -> dict[str, Rule]:
    images, found = len(laws), dict[str, Rule]()
    found["duels"] = Duels(images, n)
    for chance in _CHANCES:
        found[f"duels, least chance {chance:g}"] = Duels(images, n, least_chance=chance)
    for price in (1e6, 1e5):
        for part in (0.1, 0.5, 0.9):
            found[f"table with {part:g} of alpha and duels, price {price:g}"] = Split(images, n, part, price)
        found[f"table alone, price {price:g}"] = Table(images, n, ALPHA, price)
        for limit in (0.55, 0.6, 0.7):
            found[f"table above a share of {limit:g}, price {price:g}"] = Choice(images, n, share > limit, price)
        found[f"a table a rival, price {price:g}"] = DuelTables(images, n, laws.shape[1], price)
    found["floor"] = Floor(images, n, laws)
    return found


if __name__ == "__main__":
    main()
