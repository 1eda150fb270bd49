"""How often a verification calls an honest run forged, and how often it finds a forged one, by simulated votes.

    PYTHONPATH=tests python benchmarks/verifying.py benchmarks/results/audit/verifying.json

Takes some minutes on one core. `--quick` divides every number of repetitions by ten.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from provenance import provenance, write_result

from purecert.engine.procedures.certify import certificate, certify
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.records.lines import Line, sparse_counts
from purecert.engine.records.run_record import RunRecord
from purecert.engine.statistics.vote_tests import LEVEL, leaning_p_value
from purecert.engine.verification.elsewhere import MOST_DIFFERING
from purecert.engine.verification.fresh_seed import Pair, compare
from support.records import RUN

_LEVELS = (0.05, 0.01, 0.001, LEVEL)
_PROBABILITIES = (0.55, 0.7, 0.9, 0.97, 0.995)  # of the images' classes, in turn
_EARLY = SmoothingSpec(
    mode="certify", sigma=0.5, n_estimate=2_000, stop=StopSpec(rule="radii", radii=(0.25, 0.5), alpha_final=5e-4)
)
_FIXED_REPEATS, _EARLY_REPEATS, _LEAN_REPEATS = 300, 200, 5_000
_ENDS = 200  # simulated ends of an image that stops early

Votes = NDArray[np.int64]
Cell = dict[str, object]


def main() -> None:
    """Print a table a section, write the JSON named on the command line, and fail if a level is exceeded."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--quick"]
    part = 10 if "--quick" in sys.argv else 1
    began = perf_counter()
    sections = {
        "fresh seed, fixed n": list(_fixed(_FIXED_REPEATS // part)),
        "fresh seed, radii": list(_early(_EARLY_REPEATS // part)),
        "another engine": list(_leaning(_LEAN_REPEATS // part)),
    }
    honest = [cell for cells in sections.values() for cell in cells if cell["forged"] == "nothing"]
    is_right = all(_is_within_chance(cell) for cell in honest)
    print(f"\n{perf_counter() - began:.0f} s; honest runs within every level: {is_right}")
    if arguments:
        head = provenance(("numpy", "scipy"), environment="PYTHONPATH=tests")
        write_result(Path(arguments[0]), head, {"results": sections, "right": is_right})
    if not is_right:
        sys.exit(1)


def _fixed(repeats: int) -> Iterator[Cell]:
    _title("Fresh seed, fixed n")
    for images, n in ((5, 1_000), (5, 10_000), (25, 100_000)):
        record = _record(SmoothingSpec(mode="certify", sigma=0.5, n_estimate=n), images)
        for forged, change in _forgeries():
            yield _cell(record, images, forged, repeats if forged == "nothing" else repeats // 5, change)


def _early(repeats: int) -> Iterator[Cell]:
    _title("Fresh seed, mode radii (0.25 and 0.5 at sigma 0.5), n = 2,000")
    for images in (30, 100):
        record = _record(_EARLY, images)
        for forged, change in _forgeries():
            yield _cell(record, images, forged, repeats if forged == "nothing" else repeats // 5, change)


def _forgeries() -> list[tuple[str, Callable[[float, int], float]]]:
    """Return what a forger does: the class's probability in the run, of that under any other seed, of each image."""
    return [
        ("nothing", lambda p, _: p),
        ("1 % of the votes of each image", lambda p, _: min(1.0, p + 0.01)),
        ("every vote of each image", lambda p, _: 1.0),
        ("every vote of each fifth image", lambda p, image: 1.0 if image % 5 == 1 else p),
    ]


def _cell(record: RunRecord, images: int, forged: str, repeats: int, change: Callable[[float, int], float]) -> Cell:
    generator = np.random.default_rng(20261129)
    found = []
    for _ in range(repeats):
        truths = [_PROBABILITIES[image % len(_PROBABILITIES)] for image in range(images)]
        pairs = [_pair(record, image, change(p, image), p, generator) for image, p in enumerate(truths)]
        found.append(compare(record, pairs, 0, allowance=0.0).p_value)
    return _told({"images": images, "n": record.spec.n_estimate, "forged": forged}, found)


def _pair(record: RunRecord, image: int, p_run: float, p: float, generator: np.random.Generator) -> Pair:
    counts, fresh = (_drawn(record, chance, generator) for chance in (p_run, p))
    outcome = certificate(record.spec, record.tv, 0, counts)
    line = Line(index=image, label=0, outcome=outcome, counts=({"0": 100}, sparse_counts(counts)))
    return Pair(line=line, top=0, counts=counts, fresh=fresh)


def _drawn(record: RunRecord, p: float, generator: np.random.Generator) -> Votes:
    """Return the votes of the estimating phase: of class 0 with probability ``p``, else of class 1."""
    if record.spec.stop is None:
        return _votes(p, record.spec.n_estimate, generator)
    ends = _ends(p)
    return ends[int(generator.integers(len(ends)))]


@cache
def _ends(p: float) -> list[Votes]:
    """Return the votes at which so many images of probability ``p`` stop. Two of them, chosen at random, have one law.

    What is measured is therefore exact for the law that these few have.
    """
    generator, ends = np.random.default_rng(round(p * 1e6)), []
    for _ in range(_ENDS):
        procedure = certify(replace(_EARLY, against_label=True), _record(_EARLY, 1).tv, 0)
        total, draw = np.zeros(3, np.int64), next(procedure)
        while True:
            votes = _votes(p, draw.count, generator)
            total += votes
            try:
                draw = procedure.send(votes)
            except StopIteration:
                break
        ends.append(total)
    return ends


def _votes(p: float, n: int, generator: np.random.Generator) -> Votes:
    k = int(generator.binomial(n, p))
    return np.array([k, n - k, 0], np.int64)


def _leaning(repeats: int) -> Iterator[Cell]:
    _title("Another engine: the sign test over all images; honest votes differ either way")
    for images, n in ((5, 10_000), (25, 100_000)):
        for differing in (0.0, 1e-4, 1e-3, MOST_DIFFERING):
            yield _lean(images, n, "nothing", differing, 0.0, repeats)
        for moved in (5e-4, 1e-3, 2e-3, 5e-3, MOST_DIFFERING):
            yield _lean(images, n, f"{moved * 100:g} % of the votes of each image", 0.0, moved, repeats // 10)


def _lean(images: int, n: int, forged: str, differing: float, moved: float, repeats: int) -> Cell:
    generator = np.random.default_rng(20261130)
    draws, found = images * n, []
    nets = 2 * generator.binomial(round(differing * draws), 0.5, repeats) - round(differing * draws)
    most = int(MOST_DIFFERING * n) * images
    for net in nets:
        found.append(leaning_p_value(min(most, int(net) + round(moved * draws)), most))
    return _told({"images": images, "n": n, "differing": differing, "forged": forged}, found)


def _record(spec: SmoothingSpec, images: int) -> RunRecord:
    return replace(RUN, spec=spec, classes=2, data=replace(RUN.data, images=images))


def _told(cell: Cell, found: list[float]) -> Cell:
    shares = {f"{level:g}": sum(p <= level for p in found) for level in _LEVELS}
    columns = [*cell.values(), len(found), *shares.values(), f"{np.median(found):.1e}"]
    print("|", " | ".join(map(str, columns)), "|", flush=True)
    return cell | {"repeats": len(found), "at or below": shares, "median": float(np.median(found))}


def _title(text: str) -> None:
    print(f"\n{text}\n\nfirst what is simulated, then repetitions, p-values at most {_LEVELS}, their median\n")


def _is_within_chance(cell: Cell) -> bool:
    """Return whether no level is exceeded by more than four standard deviations."""
    repeats, below = cell["repeats"], cell["at or below"]
    assert isinstance(repeats, int)
    assert isinstance(below, dict)
    return all(
        count <= float(level) * repeats + 4 * (float(level) * repeats) ** 0.5 + (float(level) >= 1e-3)
        for level, count in below.items()
    )


if __name__ == "__main__":
    main()
