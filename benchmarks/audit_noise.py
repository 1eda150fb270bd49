"""Audit the noise in full: every threshold, a billion draws of each table, independence, words, and planted faults.

    PYTHONPATH=tests python benchmarks/audit_noise.py benchmarks/results/audit/noise.json

A test fails where a sound generator would end in two seeds of a million (p below 1e-6 on either side), or where a count
is more than five standard deviations off. Each planted fault has to fail one at least. A few minutes on one core.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from provenance import provenance, write_result

from purecert.engine.noise.paths import active_path
from purecert.engine.noise.table import extra_noise, smoothing_noise
from support.noise_audit.finding import Finding
from support.noise_audit.normal_bounds import audit_thresholds
from support.noise_audit.shim import Fault, Shim, build_shim
from support.noise_audit.source import Kernel
from support.noise_audit.suite import FULL, QUICK, SIGMAS, WIDE_SIGMA, Effort, noise_tests
from support.noise_audit.words import word_findings

_SEED = 20_261_127
_SHOWN = 1e-300  # smaller ones are not numbers any more


def main() -> None:
    """Print the tables, write the JSON named on the command line, and exit with 1 if anything fails."""
    began = perf_counter()
    thresholds = [
        asdict(audit_thresholds(table)) for table in (*map(smoothing_noise, (*SIGMAS, WIDE_SIGMA)), extra_noise())
    ]
    with tempfile.TemporaryDirectory() as folder:
        shim = Shim(build_shim(Path(folder)))
    tests = _audit(Kernel(), FULL, lambda: word_findings(shim, FULL.word_chunks, seed=_SEED))
    faults = {fault.name: _audit_fault(Shim(shim.library, fault)) for fault in Fault}
    _print(thresholds, tests, faults)
    head = provenance(("numpy", "scipy"), environment="PYTHONPATH=tests") | {"noise_path": active_path()}
    record: dict[str, Any] = {"seconds": perf_counter() - began, "seed": _SEED, "sizes": asdict(FULL)}
    record |= {"thresholds": thresholds, "tests": [_row(finding) for finding in tests], "planted_faults": faults}
    if len(sys.argv) > 1:
        write_result(Path(sys.argv[1]), head, record)
    sys.exit(1 if _failures(thresholds, tests, faults) else 0)


def _audit(source: Kernel | Shim, effort: Effort, words: Callable[[], list[Finding]]) -> list[Finding]:
    values = [finding for test in noise_tests(effort, _SEED).values() for finding in test(source)]
    return [*values, *words()]


def _audit_fault(source: Shim) -> dict[str, Any]:
    """Return how many tests of values and of words a fault fails, and the rarest outcome of each kind."""
    values = _audit(source, QUICK, list)
    words = word_findings(source, QUICK.word_chunks, seed=_SEED)
    failed = {kind: [f for f in found if not f.passed] for kind, found in (("values", values), ("words", words))}
    return {
        kind: {"failed": len(found), "of": len(all_found)}
        | ({"rarest": _row(min(found, key=lambda f: f.p))} if found else {})
        for (kind, found), all_found in zip(failed.items(), (values, words), strict=True)
    }


def _failures(
    thresholds: list[dict[str, Any]], tests: list[Finding], faults: Mapping[str, dict[str, Any]]
) -> list[str]:
    """Return what speaks against the noise, or against the tests: a fault that no test of values sees."""
    # Halves swapped everywhere are another draw of the same law; the published vectors are there for that.
    unseen = {Fault.NONE.name, Fault.SWAPPED_HALVES.name}
    return [
        *(f"thresholds of scale {audit['scale']:g}" for audit in thresholds if audit["wrong"] or audit["undecided"]),
        *(finding.test for finding in tests if not finding.passed),
        *(name for name, found in faults.items() if (found["values"]["failed"] == 0) != (name in unseen)),
    ]


def _row(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"passed": finding.passed}


def _print(thresholds: list[dict[str, Any]], tests: list[Finding], faults: Mapping[str, dict[str, Any]]) -> None:
    print("| thresholds of scale | entries | wrong | undecided |\n| --- | ---: | ---: | ---: |")
    for audit in thresholds:
        print(f"| {audit['scale']:g} | {audit['entries']} | {audit['wrong']} | {audit['undecided']} |")
    print("\n| test | draws | statistic | p | |\n| --- | ---: | ---: | ---: | --- |")
    for f in tests:
        print(f"| {f.test} | {f.draws:.3g} | {f.statistic:.6g} | {f.p:.3g} | {'' if f.passed else 'FAILED'} |")
    print("\n| planted fault | tests failed | the rarest outcome | p |\n| --- | ---: | --- | ---: |")
    for name, found in faults.items():
        for kind, numbers in found.items():
            rarest = numbers.get("rarest", {"test": "-", "p": 1.0})
            p = f"{rarest['p']:.2g}" if rarest["p"] >= _SHOWN else f"< {_SHOWN:g}"
            print(f"| {name} ({kind}) | {numbers['failed']} of {numbers['of']} | {rarest['test']} | {p} |")
    for name in _failures(thresholds, tests, faults):
        print(f"FAILED: {name}")


if __name__ == "__main__":
    main()
