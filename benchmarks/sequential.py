"""What looking after every draw costs and saves, by exact computation: errors, expected draws, radii; and its time.

    PYTHONPATH=tests OMP_NUM_THREADS=1 python benchmarks/sequential.py benchmarks/results/sequential/sequential.json

Takes under a minute. The times are of one core, the processor's and not the clock's.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np
from provenance import provenance, write_result
from scipy import special

from purecert.engine.procedures.certify import certify
from purecert.engine.procedures.drawing import Counts
from purecert.engine.procedures.spec import DEFAULT_RADII, SmoothingSpec, StopSpec
from purecert.engine.procedures.stopping import count_rule
from purecert.engine.procedures.tables.rule import stop_rule, with_tables
from purecert.engine.statistics.anytime import Thresholds, anytime_lower
from purecert.engine.statistics.bounds import certified_radius, clopper_pearson_lower
from support.procedure_audit.crossing import least_successes, most_successes, published_rule, walk

_ALPHA = 1e-3
_HORIZON = 10_000
_DRAWS = np.arange(1, _HORIZON + 1)
_NULLS = {0.5: 0.0, 0.691: 0.8, 0.841: 0.8, 0.977: 0.8, 0.999: 0.0}  # probability -> share of alpha to be used
_CELLS = {1.0: (0.9968, 0.9683, 0.9207, 0.8731), 2.0: (0.9995, 0.9954, 0.9886)}  # radius in sigmas -> probabilities
_LEAST_SAVING = 0.07
_MOST_LOST = {100_000: (0.56, 0.007), 10_000: (0.61, 0.012)}  # n -> from which share on, and how much of the radius
_SHARES = (0.56, 0.61, 0.7, 0.8, 0.9, 0.99, 0.999, 1.0)
_LOOK_US, _BOUND_US = 3.0, 40.0
_IMAGES, _CLASSES = 512, 10  # whose draws stopping tables look at: a batch of images
_REPEATS = 7

Section = tuple[list[dict[str, object]], bool]  # the records, and whether all is right


def main() -> None:
    """Print every table, write the JSON named on the command line, and fail if a number is not as promised."""
    sections = {"errors": _errors(), "draws": _draws(), "radii": _radii(), "times": _times()}
    failed = [name for name, (_, is_right) in sections.items() if not is_right]
    print(f"\nnot right: {', '.join(failed) or 'nothing'}")
    if len(sys.argv) > 1:
        numbers = {
            "results": {name: records for name, (records, _) in sections.items()},
            "right": {name: is_right for name, (_, is_right) in sections.items()},
        }
        write_result(
            Path(sys.argv[1]), provenance(("numpy", "scipy"), environment="PYTHONPATH=tests OMP_NUM_THREADS=1"), numbers
        )
    if failed:
        sys.exit(1)


def _errors() -> Section:
    print(f"\nExact probability of ever exceeding the true p, a look after each of {_HORIZON} draws, alpha {_ALPHA}\n")
    print("| p | error | share of alpha |\n| ---: | ---: | ---: |")
    records: list[dict[str, object]] = []
    is_right = True
    for p, least in _NULLS.items():
        error = walk(least_successes(p, _ALPHA, _DRAWS), None, p).above
        is_right &= least * _ALPHA <= error <= _ALPHA
        print(f"| {p} | {error:.3e} | {error / _ALPHA:.1%} |")
        records.append({"p": p, "error": error})
    return records, is_right


def _draws() -> Section:
    print(f"\nExact expected draws until a radius is settled, at most {_HORIZON}, alpha {_ALPHA} on each side\n")
    print("| radius / sigma | p | ours | published KT rule | saved |\n| ---: | ---: | ---: | ---: | ---: |")
    records: list[dict[str, object]] = []
    is_right = True
    for radius, probabilities in _CELLS.items():
        threshold = float(special.ndtr(radius))
        ours = least_successes(threshold, _ALPHA, _DRAWS), most_successes(threshold, _ALPHA, _DRAWS)
        theirs = published_rule(threshold, _ALPHA, _DRAWS)
        for p in probabilities:
            draws, published = walk(*ours, p).draws, walk(*theirs, p).draws
            print(f"| {radius} | {p} | {draws:.1f} | {published:.1f} | {1 - draws / published:.1%} |")
            records.append({"radius_in_sigmas": radius, "p": p, "draws": draws, "published": published})
            is_right &= draws <= (1 - _LEAST_SAVING) * published
    return records, is_right


def _radii() -> Section:
    print(f"\nRadius at the full budget, alpha {_ALPHA / 2} for stopping and as much for the exact bound\n")
    print("| n | share | radius / sigma | of a fixed n | lost |\n| ---: | ---: | ---: | ---: | ---: |")
    records: list[dict[str, object]] = []
    is_right = True
    for n, (least_share, most_lost) in _MOST_LOST.items():
        stop = StopSpec(rule="tolerance", tolerance=0.05, alpha_final=_ALPHA / 2)
        spec = SmoothingSpec(mode="certify", sigma=1.0, n_estimate=n, alpha=_ALPHA, stop=stop)
        for share in _SHARES:
            k = round(share * n)
            hybrid = float(certified_radius(1.0, count_rule(spec, 0.0).p_lower(k, n)))
            fixed = float(certified_radius(1.0, clopper_pearson_lower(k, n, _ALPHA)))
            print(f"| {n} | {share} | {hybrid:.4f} | {fixed:.4f} | {1 - hybrid / fixed:.2%} |")
            records.append({"n": n, "share": share, "hybrid": hybrid, "fixed": fixed})
        worst = _worst_loss(n, least_share)
        is_right &= worst < most_lost
        print(f"| {n} | every count from {least_share} | | | at most {worst:.3%} |")
        records.append({"n": n, "from_share": least_share, "most_lost": worst})
    return records, is_right


def _worst_loss(n: int, least_share: float) -> float:
    """Return the largest share of the radius that is lost at any count: the exact bound is part of the hybrid one."""
    k = np.arange(round(least_share * n), n + 1)
    hybrid, fixed = (certified_radius(1.0, clopper_pearson_lower(k, n, a)) for a in (_ALPHA / 2, _ALPHA))
    return float(np.max(1 - hybrid / fixed))


def _times() -> Section:
    k = np.random.default_rng(20260104).binomial(_HORIZON, 0.9, 10_000)
    radii = 5
    thresholds = Thresholds(special.ndtr(np.linspace(0, 2, radii)), _ALPHA)
    look = _microseconds(lambda: thresholds.shortfall(k[:, None], _HORIZON), radii * len(k))
    bound = _microseconds(lambda: anytime_lower(k, _HORIZON, _ALPHA), len(k))
    print(f"\nMicroseconds, best of {_REPEATS}, {len(k)} images at a time\n")
    print("| what | microseconds | promised |\n| --- | ---: | ---: |")
    print(f"| a look, per image and radius | {look:.2f} | {_LOOK_US} |")
    print(f"| the bound, per image | {bound:.2f} | {_BOUND_US} |")
    tables = [_table_times(n) for n in _MOST_LOST]
    is_right = look <= _LOOK_US and bound <= _BOUND_US and all(each["look_us"] <= _LOOK_US for each in tables)
    return [{"look_us": look, "bound_us": bound}, *tables], is_right


def _table_times(n: int) -> dict[str, float]:
    """Time the looks of stopping tables, of five radii at once: the rule's part of one, and all of a procedure's."""
    stop = StopSpec(rule="radii", radii=DEFAULT_RADII)
    spec = with_tables(SmoothingSpec(mode="certify", sigma=0.5, n_estimate=n, alpha=_ALPHA, stop=stop), 0.0)
    generator = np.random.default_rng(20260107)
    images = [_drawn(spec, p, generator) for p in special.ndtr(generator.normal(1, 1, _IMAGES))]
    looks = sum(len(votes) - 1 for votes in images)
    rule = stop_rule(spec, 0.0)
    seen = [[(0, 0), *((int(c[0]), int(c.sum())) for c in np.cumsum(votes[1:], axis=0))] for votes in images]

    def look() -> None:
        for each in seen:
            watch = rule.watch()
            for k, drawn in each:
                watch.remaining(k, drawn)

    def proceed() -> None:
        for votes in images:
            procedure = certify(spec, 0.0)
            next(procedure)
            for counts in votes[:-1]:
                procedure.send(counts)

    look_us, procedure_us = _microseconds(look, looks), _microseconds(proceed, looks)
    print(f"| a look of {len(spec.tables)} tables, n = {n}, per image | {look_us:.2f} | {_LOOK_US} |")
    print(f"| the same with the procedure around it | {procedure_us:.2f} | |")
    return {
        "n": n,
        "tables": len(spec.tables),
        "images": _IMAGES,
        "looks": looks,
        "look_us": look_us,
        "procedure_us": procedure_us,
    }


def _drawn(spec: SmoothingSpec, p: float, generator: np.random.Generator) -> list[Counts]:
    """Return what a procedure receives whose class is of probability ``p``, request by request."""
    procedure, received = certify(spec, 0.0), list[Counts]()
    request = next(procedure)
    counts = np.zeros(_CLASSES + 1, np.int64)
    counts[0] = request.count
    try:
        while True:
            received.append(counts)
            request = procedure.send(counts)
            counts = np.zeros_like(counts)
            counts[0] = generator.binomial(request.count, p)
            counts[1] = request.count - counts[0]
    except StopIteration:
        return received


def _microseconds(call: Callable[[], object], items: int) -> float:
    best = float("inf")
    for _ in range(_REPEATS):
        began = process_time()
        call()
        best = min(best, process_time() - began)
    return best / items * 1e6


if __name__ == "__main__":
    main()
