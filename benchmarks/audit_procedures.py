"""Audit CERTIFY and PREDICT where the truth is known: simulated, exactly by sums, with planted faults, and end to end.

    PYTHONPATH=tests python benchmarks/audit_procedures.py benchmarks/results/audit/procedures.json

Takes some minutes on one core. At alpha = .001 a thousand of a million certificates may be false on average, and
1,126 with four standard deviations. `--quick` divides every number of runs by a hundred, to try the program;
`--only tables` is that section alone.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter

import click
import numpy as np
from provenance import provenance, write_result

from support.procedure_audit.cells import TRIALS, certify_cells, predict_cells
from support.procedure_audit.coverage import ALPHAS, clopper_pearson_coverage
from support.procedure_audit.every_draw import ends, tally_early_every_draw, tally_every_draw
from support.procedure_audit.mutants import mutants
from support.procedure_audit.prediction import audit_p_values, worst_wrong_answer
from support.procedure_audit.sequential import answering_cells, certifying_spec, sequential_cells
from support.procedure_audit.simulation import Tally, tally_certificates, tally_predictions, together
from support.procedure_audit.table_looks import false_claim_by_tables, table_cells, table_spec
from support.procedure_audit.whole_path import pixel_cells, tally_pixel

_ALPHA = 1e-3
_MUTANT_ALPHA = 0.05  # so that twice alpha is far from alpha within few runs
_RUNS = {
    "certify": 25_000,
    "predict": 10_000,
    "mutant": 20_000,
    "whole path": 40_000,
    "early": 170_000,
    "tables": 170_000,
    "answer": 250_000,
}  # of each image
_EARLY_DRAWS, _EARLY_ANSWER_DRAWS = 500, 300  # a look after each
_SAMPLE = 200  # sums of each coverage that are checked to 50 digits
_LEAST_DEVIATIONS = 8  # by which a fault must be seen, where four are allowed
_VOTES = (20, 60, 100, 200)  # of PREDICT over all counts of three kinds

Section = tuple[list[dict[str, object]], bool]  # the records, and whether all is right


@click.command()
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option("--quick", is_flag=True, help="A hundredth of the runs.")
@click.option("--only", help="This section alone.")
def main(out: Path | None, quick: bool, only: str | None) -> None:
    """Run every section, print its table, write the JSON named on the command line, and fail if one is not right."""
    runs = {name: count // (100 if quick else 1) for name, count in _RUNS.items()}
    began = perf_counter()
    asked: dict[str, Callable[[], Section]] = {
        "certify": lambda: _certificates(runs["certify"]),
        "whole path": lambda: _whole_path(runs["whole path"]),
        "tables": lambda: _tables(runs["tables"]),
        "radii": lambda: _early("radii", runs["early"]),
        "tolerance": lambda: _early("tolerance", runs["early"]),
        "answer": lambda: _early_answers(runs["answer"]),
        "predict": lambda: _predictions(runs["predict"]),
        "faults": lambda: _faults(4_000 if quick else runs["mutant"]),
        "coverage": _coverage,
        "p-values": _p_values,
        "wrong answers": _wrong_answers,
    }
    sections = {name: section() for name, section in asked.items() if only in (None, name)}
    if not sections:
        raise click.UsageError(f"expected a section, one of {', '.join(asked)}; got {only}")
    failed = [name for name, (_, is_right) in sections.items() if not is_right]
    print(f"\n{perf_counter() - began:.0f} s; not right: {', '.join(failed) or 'nothing'}")
    if out is not None:
        numbers = {
            "seconds": perf_counter() - began,
            "results": {name: records for name, (records, _) in sections.items()},
            "right": {name: is_right for name, (_, is_right) in sections.items()},
        }
        write_result(
            out,
            provenance(("numpy", "scipy", "mpmath", "onnxruntime"), environment="PYTHONPATH=tests"),
            numbers,
        )
    if failed:
        sys.exit(1)


def _certificates(runs: int) -> Section:
    generator = np.random.default_rng(20260101)
    tallies = [tally_certificates(cell, runs, generator) for cell in certify_cells(_ALPHA)]
    return _tallied("Simulated certificates", tallies)


def _whole_path(runs: int) -> Section:
    tallies = []
    for seed, cell in enumerate(pixel_cells(_ALPHA), 1):
        with tempfile.TemporaryDirectory() as folder:
            tallies.append(tally_pixel(Path(folder) / "plan", cell, runs, seed))
    return _tallied("Certificates through noise kernel, ONNX Runtime, scheduler and counts", tallies)


def _tables(runs: int) -> Section:
    generator = np.random.default_rng(20260108)
    cells = table_cells(table_spec(_ALPHA, _EARLY_DRAWS))
    tallies = [tally_certificates(cell, runs, generator, chance=false_claim_by_tables) for cell in cells]
    return _tallied("Simulated certificates of mode radii by stopping tables", tallies)


def _early(rule: str, runs: int) -> Section:
    spec = certifying_spec(rule, _ALPHA, _EARLY_DRAWS)
    found, generator = ends(spec), np.random.default_rng(20260105)
    tallies = [tally_every_draw(cell, found, runs, generator) for cell in sequential_cells(spec)]
    return _tallied(f"Simulated certificates of mode {rule}, looked at after every draw", tallies)


def _early_answers(runs: int) -> Section:
    generator = np.random.default_rng(20260106)
    tallies = [tally_early_every_draw(cell, runs, generator) for cell in answering_cells(_ALPHA, _EARLY_ANSWER_DRAWS)]
    return _tallied("Simulated early predictions, looked at after every draw", tallies)


def _predictions(runs: int) -> Section:
    generator = np.random.default_rng(20260102)
    tallies = [tally_predictions(cell, runs, generator) for cell in predict_cells(_ALPHA)]
    return _tallied("Simulated predictions", tallies)


def _tallied(title: str, tallies: list[Tally]) -> Section:
    print(f"\n{title}, alpha {_ALPHA}\n")
    print("| image | n | runs | claims | false | expected of exact sums |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    total = together("all", tallies)
    for t in [*tallies, total]:
        expected = "-" if t.expected is None else f"{t.expected:.1f}"
        print(f"| {t.name} | {t.n} | {t.runs} | {t.claims} | {t.false_claims} | {expected} |")
    print(f"\nfalse in all: {total.false_claims}, allowed: {total.allowed}", flush=True)
    is_right = total.false_claims <= total.allowed
    records = [asdict(tally) | {"allowed": tally.allowed} for tally in [*tallies, total]]
    return records, is_right and all(t.is_within_chance and t.matches_expectation for t in [*tallies, total])


def _faults(runs: int) -> Section:
    print(f"\nPlanted faults, alpha {_MUTANT_ALPHA}, {runs} runs each\n")
    print("| fault | image | false | without the fault | allowed | deviations above alpha |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    generator = np.random.default_rng(20260103)
    records: list[dict[str, object]] = []
    is_right = True
    for mutant in mutants(_MUTANT_ALPHA):
        faulty = mutant.tally(mutant.cell, runs, generator, mutant.steps)
        right = mutant.tally(mutant.cell, runs, generator, mutant.control)
        is_right &= faulty.deviations > _LEAST_DEVIATIONS and right.false_claims <= right.allowed
        columns = (mutant.fault, mutant.cell.name, faulty.false_claims, right.false_claims, right.allowed)
        print("|", *(f"{column} |" for column in columns), f"{faulty.deviations:.1f} |", flush=True)
        records.append({"fault": mutant.fault, "with": asdict(faulty), "without": asdict(right)})
    return records, is_right


def _coverage() -> Section:
    print("\nExact coverage of the lower bound\n")
    print("| n | alpha | values of p | largest P(bound > p) / alpha - 1 | at p | error of the sums | to 50 digits |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    found = [clopper_pearson_coverage(n, alpha, _SAMPLE) for n in TRIALS for alpha in ALPHAS]
    for c in found:
        columns = (c.n, c.alpha, c.probabilities, f"{c.worst_miss - 1:.3e}", f"{c.worst_p:.6g}", f"{c.sum_error:.1e}")
        print("|", *(f"{column} |" for column in columns), f"{c.sampled} |", flush=True)
    return [asdict(c) for c in found], all(c.holds and c.probabilities >= 2_000 for c in found)


def _p_values() -> Section:
    print("\nPREDICT's p-value, every split of n votes in whole numbers\n")
    print("| n | p-values below the exact one |", *(f"P(answer) / alpha at equal odds, alpha {a} |" for a in ALPHAS))
    print("| ---: | ---: |", *("---: |" for _ in ALPHAS))
    found = [audit_p_values(n, ALPHAS) for n in TRIALS]
    for values in found:
        print(
            "|", values.n, "|", values.too_small, "|", *(f"{values.worst_error[a]:.4f} |" for a in ALPHAS), flush=True
        )
    is_right = all(v.too_small == 0 and max(v.worst_error.values()) <= 1 for v in found)
    return [asdict(values) for values in found], is_right


def _wrong_answers() -> Section:
    print("\nPREDICT over all counts of three kinds of rows\n")
    print("| n | alpha | third kind | images | largest P(wrong answer) / alpha | of the image |")
    print("| ---: | ---: | --- | ---: | ---: | --- |")
    found = [worst_wrong_answer(n, a, invalid=invalid) for n in _VOTES for a in ALPHAS for invalid in (False, True)]
    for w in found:
        image = ", ".join(f"{share:.3f}" for share in w.worst_image)
        print(f"| {w.n} | {w.alpha} | {w.third_kind} | {w.images} | {w.worst:.4f} | {image} |", flush=True)
    return [asdict(answers) for answers in found], all(answers.worst <= 1 for answers in found)


if __name__ == "__main__":
    main()
