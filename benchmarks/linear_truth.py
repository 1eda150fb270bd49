"""Certify a linear classifier 10,000 times per seed and count the certificates that are false.

    PYTHONPATH=tests python benchmarks/linear_truth.py benchmarks/results/linear_truth.json

At alpha = .001 ten false certificates are expected of 10,000; more than 23 (four standard deviations) would mean that
the engine is unsound.
"""

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import purecert
from purecert.engine.hardware import describe_cpu
from support.linear_truth import certify_linear

_COMMAND = "PYTHONPATH=tests python benchmarks/linear_truth.py"
_CASES = 10_000
_DRAWS = 100_000
_ALLOWED = 23
_LEAST_RATIO = 0.97


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedResult:
    """One seed's cases."""

    seed: int
    cases: int
    n: int
    false_certificates: int
    median_ratio: float
    seconds: float


def main() -> None:
    """Run seeds 1, 2 and 3, print a table, write the JSON named on the command line, and fail past the limits."""
    results = [_run(seed) for seed in (1, 2, 3)]
    print("| seed | cases | n | false certificates (<= 23) | median certified/exact (>= .97) | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for r in results:
        print(f"| {r.seed} | {r.cases} | {r.n} | {r.false_certificates} | {r.median_ratio:.4f} | {r.seconds:.0f} |")
    if len(sys.argv) > 1:
        versions = {"purecert": purecert.__version__, "onnxruntime": version("onnxruntime")}
        record = {
            "command": _COMMAND,
            "hardware": describe_cpu(),
            "versions": versions,
            "results": [asdict(result) for result in results],
        }
        Path(sys.argv[1]).write_text(json.dumps(record, indent=1) + "\n")
    if any(r.false_certificates > _ALLOWED or r.median_ratio < _LEAST_RATIO for r in results):
        sys.exit(1)


def _run(seed: int) -> SeedResult:
    began = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = certify_linear(Path(folder) / "plan", cases=_CASES, seed=seed, n=_DRAWS, batch=20_000, threads=1)
    return SeedResult(
        seed=seed,
        cases=_CASES,
        n=_DRAWS,
        false_certificates=result.exceeding,
        median_ratio=result.median_ratio,
        seconds=perf_counter() - began,
    )


if __name__ == "__main__":
    main()
