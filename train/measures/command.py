"""The command of measuring: engine-train evaluate. Imports stay inside so that ``--help`` answers at once."""

from pathlib import Path

import click

from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import InputError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("evaluate", cls=EngineCommand)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=_FILE)
@click.option("--data", required=True, metavar="NAME[:SPLIT][SLICE]", help="Test images with labels.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where a named data set's files lie.")
@click.option(
    "--sigma", "sigma_texts", multiple=True, required=True, help="Noise std in [0, 1] pixels; 0.25,0.5 or repeated."
)
@click.option("--judge", type=_FILE, help="A model.pt whose classifier judges all.  [default: each model's own]")
@click.option(
    "--run",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="A finished run of engine-certify on a plan of one of the models; repeated.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of the noise.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Processors to use.")
@click.option("-o", "--out", "--output", "output", type=_FILE, help="Also write the table to this JSON file.")
@click.option("--force", is_flag=True, help="Replace the file in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of the table.")
def evaluate_command(
    models: tuple[Path, ...],
    data: str,
    data_dir: Path | None,
    sigma_texts: tuple[str, ...],
    judge: Path | None,
    runs: tuple[Path, ...],
    seed: int,
    threads: int,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Measure models on the same images and noise: the first one, and what the others have over it.

    A line a model and sigma: accuracy without noise and with one draw of it, mean L2 and Frechet distance of purified
    to clean images, and certified accuracy where --run gives it.
    """
    sigmas = _sigmas(sigma_texts)
    import torch

    from purecert.engine.files.canonical import canonical_json, write_atomically
    from purecert.engine.images.class_folders import labelled_for
    from purecert.engine.images.datasets import load_dataset
    from purecert.train.measures.evaluation import evaluate, evaluation_record, evaluation_text
    from purecert.train.models.archives import refuse_overwrite
    from purecert.train.models.checkpoints import load_model

    if output is not None:
        refuse_overwrite(output, force=force)
    torch.set_num_threads(threads)
    named = dict(zip(_names(models), map(load_model, models), strict=True))
    judging = load_model(judge) if judge else None
    first = next(iter(named.values()))
    images = labelled_for(load_dataset(data, data_dir), first.classes, first.class_names)
    found = evaluate(list(named.items()), images, sigmas, judge=judging, runs=runs, seed=seed)
    record = canonical_json(evaluation_record(found))
    if output is not None:
        write_atomically(output, f"{record}\n".encode())
    click.echo(record if as_json else evaluation_text(found))


def _names(paths: tuple[Path, ...]) -> list[str]:
    """Return a name for each file: with the folder that tells it from the others, where its own name does not."""
    own = [path.stem for path in paths]
    names = own if len(set(own)) == len(own) else [str(path.parent / path.stem) for path in paths]
    if len(set(names)) < len(names):
        raise InputError("expected each MODEL once")
    return names


def _sigmas(texts: tuple[str, ...]) -> tuple[float, ...]:
    parts = [part for text in texts for part in text.split(",")]
    try:
        sigmas = tuple(float(part) for part in parts)
    except ValueError as error:
        raise InputError(f"expected --sigma as numbers with commas, got {','.join(parts)!r}") from error
    if len(set(sigmas)) < len(sigmas):
        raise InputError(f"expected each sigma once, got {','.join(parts)}")
    return sigmas
