"""The targets on a GPU beside what the steps recorded. Uses nothing but the standard library.

A record is what gpu.record writes for a step; of a step that was not run, or failed, there is none.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Records = Mapping[str, Mapping[str, Any]]  # by step
Rounding = Callable[[float], int]
Verdict = Literal["met", "not met", "not measured"]

LEAST_SHARE, LEAST_RATIO, MOST_OUTSIDE = 0.45, 5.0, 0.03
_PLANS = ("vit", "wrn")
_BACKENDS = ("tensorrt", "tensorrt-rtx", "onnxruntime-cuda", "onnxruntime-tensorrt")
_TOOLS = {"memcheck", "racecheck", "initcheck", "synccheck"}
_PUBLISHED = 1554  # vectors of the noise


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What depends on whether this is a dry run."""

    baseline: str  # variant of the eager loop that the target is about
    beside: str  # variant whose ratio is told beside it
    draws: int  # to compare with the CPU's
    n: tuple[int, ...]  # of the certificates to time


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One target and what was found."""

    claim: str
    wanted: str
    found: str  # rounded so that nothing looks better than it was; "-" where it was not measured
    value: float | None  # None where it was not measured
    verdict: Verdict
    sources: tuple[str, ...]  # the steps whose records say it


def find_targets(records: Records, expected: Expected) -> Iterator[Target]:
    """Yield every target, whether or not its steps have run."""
    for plan in _PLANS:
        yield from _plan_targets(records, plan, expected)
    for backend in _BACKENDS:
        step = f"backend-{backend}"
        yield _measured(f"vit: times torch-cuda, {backend}", _number(records, step, "times"), step, rounded=math.floor)
    draws = _number(records, "noise-check", "equal", "draws_as_on_the_cpu")
    vectors = _number(records, "noise-check", "equal", "published_vectors")
    enough = vectors == _PUBLISHED
    yield _at_least("noise: draws equal to the CPU's", draws, expected.draws, "noise-check", also=enough)
    differing = _number(records, "agreement", "differing_noise_values")
    yield _at_most("noise: values of a plan's inputs that differ from the CPU's", differing, 0, "agreement")
    labels = _number(records, "agreement", "differing_labels")
    yield _measured("labels that differ from the CPU's", labels, "agreement")
    yield _at_most("compute-sanitizer: tools without a clean report", _unclean(records), 0, "sanitize")


def _plan_targets(records: Records, plan: str, expected: Expected) -> Iterator[Target]:
    bench, outside, certify = (f"{step}-{plan}" for step in ("bench", "outside", "certify"))
    flops = _number(records, bench, "best", "backend", "flops_per_second")
    rate = _number(records, "matrix-rate", "rates", "bf16", "tflops")
    share = None if flops is None or rate is None else flops / (rate * 1e12)
    yield _at_least(f"{plan}: share of the measured bf16 matrix rate", share, LEAST_SHARE, bench, "matrix-rate")
    ratio = _ratio(records, bench, expected.baseline)
    yield _at_least(f"{plan}: times eager FP32, {expected.baseline}", ratio, LEAST_RATIO, bench)
    beside = _ratio(records, bench, expected.beside)
    yield _measured(f"{plan}: times eager FP32, {expected.beside}", beside, bench, rounded=math.floor)
    in_all = _number(records, outside, "in_all")
    yield _at_most(f"{plan}: share of time outside the network", in_all, MOST_OUTSIDE, outside)
    for n in expected.n:
        seconds = min((r["seconds_per_certificate"] for r in _runs(records, certify) if r["n"] == n), default=None)
        yield _measured(f"{plan}: seconds per certificate, n = {n:,}", seconds, certify)


def _number(records: Records, *keys: str) -> float | None:
    """Return what lies under ``keys``, the first of which is the step; None where something on the way is missing."""
    found: Any = records
    for key in keys:
        found = None if found is None else found.get(key)
    assert found is None or isinstance(found, (int, float))
    return found


def _ratio(records: Records, bench: str, baseline: str) -> float | None:
    best = records[bench]["best"]["ratios"] if bench in records else []
    return next((float(ratio["times"]) for ratio in best if ratio["to"] == baseline), None)


def _runs(records: Records, certify: str) -> list[Mapping[str, Any]]:
    return records[certify]["runs"] if certify in records else []


def _unclean(records: Records) -> int | None:
    reports = records["sanitize"]["reports"] if "sanitize" in records else []
    return len(_TOOLS - {report["tool"] for report in reports if report["is_clean"]}) if reports else None


def _at_least(claim: str, value: float | None, least: float, *sources: str, also: bool = True) -> Target:
    is_met = value is not None and value >= least and also
    return _target(claim, f">= {least:,g}", value, is_met, sources, math.floor)


def _at_most(claim: str, value: float | None, most: float, *sources: str) -> Target:
    return _target(claim, f"<= {most:g}", value, value is not None and value <= most, sources, math.ceil)


def _measured(claim: str, value: float | None, *sources: str, rounded: Rounding = math.ceil) -> Target:
    return _target(claim, "a number", value, value is not None, sources, rounded)


def _target(
    claim: str, wanted: str, value: float | None, is_met: bool, sources: tuple[str, ...], rounded: Rounding
) -> Target:
    verdict: Verdict = "not measured" if value is None else "met" if is_met else "not met"
    found = "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{rounded(value * 1e4) / 1e4:,.4f}"
    return Target(claim=claim, wanted=wanted, found=found, value=value, verdict=verdict, sources=sources)
