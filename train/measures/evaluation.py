"""Several models measured on the same images and the same noise, as one table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset
from purecert.engine.reports.text import markdown_table
from purecert.train.measures.certified import Certified, certified_accuracy
from purecert.train.measures.frechet import last_linear
from purecert.train.measures.intervals import Difference, paired_difference
from purecert.train.measures.one_draw import Judge, OneDraw, judge_of, one_draw
from purecert.train.models.checkpoints import Model
from purecert.train.networks.conditioned import SigmaClassifier

SCHEMA = "purecert.measures/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredAt:
    """One model at one sigma."""

    sigma: float
    t: float | None  # of the purifier; None where there is none
    clean: float  # accuracy where the purifier gets images without noise
    one_draw: float  # accuracy with one draw of noise
    transport: float  # mean L2 of the purified to the clean image, in [0, 1] pixel units
    frechet: float  # between the purified and the clean images, in the features named below
    over_first: Difference | None  # of one_draw over the first model's, image by image; None for the first itself
    certified: tuple[Certified, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One model."""

    name: str
    sha256: str
    purifier: str
    sources: tuple[str, ...]
    measured: tuple[MeasuredAt, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """The table."""

    data: str
    slice: str | None
    images: int
    fingerprint: str
    seed: int  # of the noise
    judge: str  # whose labels and features: SHA-256 of a model.pt, or "each model's own classifier"
    features: str  # what the Frechet distance is computed from
    rows: tuple[Row, ...]


def evaluate(
    models: Sequence[tuple[str, Model]],
    data: Dataset,
    sigmas: Sequence[float],
    *,
    judge: Model | None = None,
    runs: Sequence[Path] = (),
    seed: int = 0,
) -> Evaluation:
    """Return what the models are worth on ``data``.

    Args:
        models: Names and models, as loaded; the first is what the others are compared with.
        data: Images with labels, of the models' shape.
        sigmas: Noise stds in [0, 1] pixel units.
        judge: The model whose classifier judges all; None: each one's own.
        runs: Finished certification runs of plans that were exported from these models.
        seed: Of the noise.

    Raises:
        InputError: A model and the data do not fit, a run is of none of the models or sigmas, the judge is not the
            classifier that a run certified, or it is asked at a noise level.
    """
    for name, model in models:
        _check_fit(name, model, data)
    certified = _sorted_runs([certified_accuracy(run, among=data) for run in runs], dict(models), sigmas, judge)
    rows, first = [], dict[float, OneDraw]()
    _check_judge(judge)
    features = judge or models[0][1]
    for name, model in models:
        found = {sigma: _drawn(model, judge or model, features, data, sigma, seed) for sigma in sigmas}
        measured = [_at(model, sigma, found[sigma], first.get(sigma), certified) for sigma in sigmas]
        first = first or found
        rows.append(
            Row(
                name=name,
                sha256=model.sha256,
                purifier=type(model.purifier).__name__,
                sources=model.sources,
                measured=tuple(measured),
            )
        )
    return Evaluation(
        data=data.name,
        slice=data.slice,
        images=len(data),
        fingerprint=data.fingerprint,
        seed=seed,
        judge=judge.sha256 if judge else "each model's own classifier",
        features=_describe(judge_of(features, sigmas[0]), "judge" if judge else "first model"),
        rows=tuple(rows),
    )


def _drawn(model: Model, judge: Model, features: Model, data: Dataset, sigma: float, seed: int) -> OneDraw:
    looks = judge_of(judge, sigma)
    extractor = looks if features is judge else judge_of(features, sigma)  # which looks at nothing twice
    return one_draw(model.purifier, looks, data, sigma, extractor=extractor, seed=seed)


def _check_judge(judge: Model | None) -> None:
    if judge is not None and isinstance(judge.classifier, SigmaClassifier):
        raise InputError("--judge: expected a classifier of images without noise, this one is asked at a noise level")


def _check_fit(name: str, model: Model, data: Dataset) -> None:
    found = (tuple(data.images.shape[1:]), data.classes)
    if found != (model.input_shape, model.classes):
        raise InputError(
            f"{name}: expected images {model.input_shape} of {model.classes} classes, {data.name} has {found[0]} of "
            f"{found[1]}; choose another --data"
        )


def _sorted_runs(
    found: Sequence[Certified], models: dict[str, Model], sigmas: Sequence[float], judge: Model | None
) -> dict[tuple[str, float], tuple[Certified, ...]]:
    by_digest = {model.sha256: model for model in models.values()}
    for run in found:
        if run.model not in by_digest:
            raise InputError(f"{run.run}: expected a plan of one of these models, its model has SHA-256 {run.model}")
        if run.sigma not in sigmas:
            raise InputError(f"{run.run}: a run at sigma {run.sigma}; add --sigma {run.sigma}, or leave it out")
        if judge is not None and not _is_same_classifier(judge, by_digest[run.model]):
            raise InputError(f"{run.run}: certified with the model's own classifier, and --judge is another one")
    keys = dict.fromkeys((run.model, run.sigma) for run in found)
    return {key: tuple(run for run in found if (run.model, run.sigma) == key) for key in keys}


def _is_same_classifier(one: Model, other: Model) -> bool:
    left, right = one.classifier.state_dict(), other.classifier.state_dict()
    if [type(one.classifier), type(one.preprocessing)] != [type(other.classifier), type(other.preprocessing)]:
        return False
    if repr(one.preprocessing.config) != repr(other.preprocessing.config) or left.keys() != right.keys():
        return False
    return all(torch.equal(left[key], right[key]) for key in left)


def _at(
    model: Model,
    sigma: float,
    found: OneDraw,
    first: OneDraw | None,
    certified: dict[tuple[str, float], tuple[Certified, ...]],
) -> MeasuredAt:
    return MeasuredAt(
        sigma=sigma,
        t=model.purifier.timestep(sigma) if model.purifier.time_rule != "none" else None,
        clean=float(found.clean.mean()),
        one_draw=float(found.right.mean()),
        transport=float(found.transport.mean()),
        frechet=found.frechet,
        over_first=None if first is None else paired_difference(found.right, first.right),
        certified=certified.get((model.sha256, sigma), ()),
    )


def _describe(extractor: Judge, whose: str) -> str:
    name, layer = last_linear(extractor.classifier)
    return f"the {layer.in_features} inputs of {name}, the last linear layer of the {whose}'s classifier"


def evaluation_record(evaluation: Evaluation) -> dict[str, Any]:
    """Return the table as plain values for JSON."""
    return {"schema": SCHEMA} | asdict(evaluation)


def evaluation_text(evaluation: Evaluation) -> str:
    """Return the table as text, and below it what it says of."""
    head = ["model", "sigma", "clean", "one draw", "over the first", "L2", "Frechet", "certified"]
    lines = [head]
    for row in evaluation.rows:
        for at in row.measured:
            scores = [f"{at.clean:.4f}", f"{at.one_draw:.4f}", _over(at.over_first)]
            moved = [f"{at.transport:.3f}", f"{at.frechet:.3f}"]
            lines.append([row.name, f"{at.sigma:g}", *scores, *moved, " / ".join(map(_radii, at.certified)) or "-"])
    said = (
        f"{evaluation.images} images of {evaluation.data}, one draw of noise each (seed {evaluation.seed}); judge: "
        f"{evaluation.judge}. L2 in [0, 1] pixel units. Frechet distance of {evaluation.features}. Differences with "
        "paired 95 % intervals. Certified: radius and share, by the engine."
    )
    runs = [run for row in evaluation.rows for at in row.measured for run in at.certified]
    return "\n".join([*markdown_table(lines, text_columns=1), "", said, *map(_told, runs)])


def _told(run: Certified) -> str:
    """Return what to know of a run's shares."""
    marks = "".join(f"; {mark}" for mark in run.marks)
    return f"Certified in {run.run}: {run.images} of these images, n = {run.n}, alpha {run.alpha:g} each{marks}."


def _over(difference: Difference | None) -> str:
    return "-" if difference is None else f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


def _radii(certified: Certified) -> str:
    shares = zip(certified.radii, certified.accuracy, strict=True)
    return ", ".join(f"{radius:g}: {share:.3f}" for radius, share in shares)
