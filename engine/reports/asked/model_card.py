"""Runs as a block for a model card of Hugging Face: metrics in its model-index form, and the report under them.

The form is YAML, as huggingface_hub reads it. Strings are written with quotes, numbers so that YAML 1.1 and 1.2 read
them alike, and every share is rounded down.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from purecert.engine.errors import InputError, printable
from purecert.engine.records.run import Run
from purecert.engine.records.run_record import RunRecord
from purecert.engine.reports.shared_images import share_images
from purecert.engine.reports.summary import Summary, summarise
from purecert.engine.reports.table import table
from purecert.engine.reports.text import format_radius, radius_text

_Value: TypeAlias = "str | int | float | _Literal | Sequence[_Value] | Mapping[str, _Value]"
_NAMED_BY_PATH = ("npz", "folder")  # data sets without splits
_THOUSAND = 1000  # of a share's parts that are written


class _Literal(str):
    """A number that is rounded already, as its digits."""

    __slots__ = ()


def model_card(runs: Sequence[Run], name: str, radii: Sequence[float], rho: float) -> str:
    """Return YAML between lines of dashes, as it begins a model card, and the report of the runs in Markdown.

    Args:
        runs: Certification runs of labelled images.
        name: Of the model.
        radii: L2 radii in pixel units of [0, 1], a metric each.
        rho: As of ``summarise``.

    Raises:
        InputError: A run claims no certified accuracy, the name is empty or not on one line, or a number is out of its
            range.
    """
    if not name or not name.isprintable():
        raise InputError(f"--model-card: expected the model's name on one line, got {name!r}")
    summaries = [summarise(run, radii, rho) for run in runs]
    for run, summary in zip(runs, summaries, strict=True):
        if not summary.certified_at:
            raise InputError(
                f"{run.directory}: --model-card: expected a certification run of labelled images, at a radius"
            )
    results = [_result(run.record, summary) for run, summary in zip(runs, summaries, strict=True)]
    index: _Value = {"model-index": [{"name": name, "results": results}]}
    report = table(summaries, shares_images=share_images(runs))
    return "\n".join(["---", *_yaml(index), "---", "", "## Certified robustness", "", report])


def _result(record: RunRecord, summary: Summary) -> _Value:
    kind, _, split = summary.data.partition(":")
    split = "" if kind in _NAMED_BY_PATH else split
    data = {"type": printable(kind), "name": printable(summary.data)}
    shared: dict[str, _Value] = {
        "norm": "L2 over pixels in [0, 1]",
        "sigma": summary.sigma,
        "n0": record.spec.n_select if record.spec.selects else 0,
        "n": summary.n_estimate,
        "alpha": summary.alpha,
        "images": summary.images,
        "images_of": printable(record.data.slice or summary.data),
        "seed": str(record.seed),  # of 64 bits, which no double holds
        "purecert": record.purecert,
    }
    if summary.marks:
        shared["marks"] = [printable(mark) for mark in summary.marks]
    metrics: list[_Value] = [
        {
            "type": "certified_accuracy",
            "value": _share(point.images, summary.images),
            "name": f"certified accuracy at L2 radius {radius_text(point.radius)}, sigma {summary.sigma:.10g}"
            + ("" if point.is_settled else ", perhaps too small"),
            "args": {"radius": point.radius, "at_least": _share(point.images_at_least, summary.images), **shared},
        }
        for point in summary.certified_at
    ]
    if summary.average_radius is not None:
        name = f"average certified L2 radius, sigma {summary.sigma:.10g}"
        value = _Literal(format_radius(summary.average_radius))
        metrics.append({"type": "average_certified_radius", "value": value, "name": name, "args": shared})
    task = {"type": "image-classification", "name": "Image classification"}
    return {"task": task, "dataset": data | ({"split": printable(split)} if split else {}), "metrics": metrics}


def _share(part: int, whole: int) -> _Literal:
    """Return ``part`` of ``whole`` in [0, 1] with three decimals, rounded down in integers."""
    thousandths = part * _THOUSAND // whole
    return _Literal(f"{thousandths // _THOUSAND}.{thousandths % _THOUSAND:03d}")


def _yaml(value: _Value, indent: str = "") -> list[str]:
    """Return a mapping or a list in block style, a line an entry."""
    lines = []
    pairs = value.items() if isinstance(value, Mapping) else [("-", each) for each in value]  # type: ignore[union-attr]
    for key, each in pairs:
        lead = f"{indent}-" if key == "-" else f"{indent}{key}:"
        if isinstance(each, str | int | float):
            lines.append(f"{lead} {_scalar(each)}")
        elif key == "-":
            first, *rest = _yaml(each, f"{indent}  ")
            lines += [f"{lead} {first.lstrip()}", *rest]
        else:
            lines += [lead, *_yaml(each, f"{indent}  ")]
    return lines


def _scalar(value: str | float) -> str:
    if isinstance(value, _Literal):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    digits = repr(value)
    # YAML 1.1 takes 1e-05 for a text.
    return digits.replace("e", ".0e") if "e" in digits and "." not in digits else digits
