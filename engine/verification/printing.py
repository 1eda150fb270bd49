"""What a verification says to a reader."""

from dataclasses import asdict

import click

from purecert.engine.errors import CheckError
from purecert.engine.files.canonical import canonical_json
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.verification.verify import Verification


def print_verification(verification: Verification, *, as_json: bool) -> None:
    """Print what was checked on stdout.

    Raises:
        CheckError: Something was wrong; every problem is a line on stdout before.
    """
    if as_json:
        click.echo(canonical_json(asdict(verification) | {"verified": verification.verified}))
    else:
        for line in _lines(verification):
            click.echo(line)
    if not verification.verified:
        first, count = verification.problems[0], len(verification.problems)
        raise CheckError(f"verification failed with {count} problems, the first: {first}")


def _lines(verification: Verification) -> list[str]:
    where = "on the engine that the run names" if verification.exact else "on another engine, version or machine"
    lines = list(verification.problems)
    if verification.verified:
        lines.append(f"plan {verification.plan}")
        lines.append(f"data {verification.data}")
        lines.append(_claim(verification.spec))
        lines.append(f"verified: {verification.images} images, every bound recomputed from its counts")
    if verification.replayed:
        lines.append(
            f"replayed {verification.replayed} images {where}: at least {verification.differing_labels} of "
            f"{verification.replayed_draws} labels differ"
        )
    return lines


def _claim(spec: SmoothingSpec) -> str:
    """Return how each image was answered for, and how often that may be wrong."""
    mode = "fixed n" if spec.stop is None else f"stops early by {spec.stop.rule}"
    given = ", class given: label" if spec.against_label else ""
    return f"{spec.mode}, {mode}{given}; alpha {spec.alpha:.6g} an image"
