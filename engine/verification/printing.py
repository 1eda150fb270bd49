"""What a verification says to a reader."""

from collections.abc import Iterator
from dataclasses import asdict

import click

from purecert.engine.errors import CheckError, NotReproducedError
from purecert.engine.files.canonical import canonical_json
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.statistics.vote_tests import LEVEL
from purecert.engine.verification.result import Claims, Elsewhere, FreshSeed, Unchecked, Verification


def print_verification(verification: Verification, *, as_json: bool) -> None:
    """Print what was checked, and what was not, on stdout.

    Raises:
        CheckError: Something was wrong; every problem is a line on stdout before.
        NotReproducedError: Nothing was wrong, but no vote was reproduced on the run's own engine.
    """
    if as_json:
        state = {"verified": verification.verified, "state": verification.state, "level": LEVEL}
        click.echo(canonical_json(asdict(verification) | state))
    else:
        for line in _lines(verification):
            click.echo(line)
    if verification.problems:
        first, count = verification.problems[0], len(verification.problems)
        raise CheckError(f"verification failed with {count} problems, the first: {first}")
    if not verification.verified:
        raise NotReproducedError(_end(verification))


def _lines(verification: Verification) -> Iterator[str]:
    yield from verification.problems
    yield f"plan {verification.plan}"
    where = "slice not recorded" if verification.slice is None else verification.slice
    yield f"data {verification.data_name}, {where}, {verification.data}"
    yield _claim(verification.spec)
    if verification.replayed:
        yield _replayed(verification)
    if verification.elsewhere is not None:
        yield f"another engine: {'; '.join(str(each) for each in verification.differences)}"
        yield from _elsewhere(verification.elsewhere)
    if verification.fresh is not None:
        yield _fresh(verification.fresh)
    yield from _unchecked(verification.unchecked, verification)
    yield _end(verification)


def _end(verification: Verification) -> str:
    match verification.state:
        case "failed":
            return f"failed: {len(verification.problems)} problems"
        case "verified":
            return f"verified: {verification.images} images, every bound recomputed from its counts"
    replay = "no vote was replayed" if verification.exact is None else "votes not reproduced on this engine"
    fields = ", ".join(each.field for each in verification.differences)
    reason = f" (other than the run's: {fields})" if fields else ""
    return f"arithmetic holds; {replay}{reason}: {verification.images} images, every bound recomputed from its counts"


def _claim(spec: SmoothingSpec) -> str:
    """Return how each image was answered for, and how often that may be wrong."""
    mode = "fixed n" if spec.stop is None else f"stops early by {spec.stop.rule}"
    given = ", class given: label" if spec.against_label else ""
    looks = "" if spec.extension is None else f", {', '.join(f'{a:.6g} at n = {n}' for n, a in spec.fixed_looks)}"
    return f"{spec.mode}, {mode}{given}; alpha {spec.alpha:.6g} an image{looks}"


def _replayed(verification: Verification) -> str:
    where = "on the engine that the run names" if verification.exact else "on another engine, version or machine"
    return (
        f"replayed {verification.replayed} images {where}: at least {verification.differing_labels} of "
        f"{verification.replayed_draws} labels differ"
    )


def _elsewhere(elsewhere: Elsewhere) -> Iterator[str]:
    yield (
        f"differing votes: {elsewhere.toward} toward the claimed classes, {elsewhere.away} away (net of each image); "
        f"sign test p = {elsewhere.p_value:.1e}, fails at {LEVEL:.0e}"
    )
    yield _claims(elsewhere.claims)


def _claims(claims: Claims) -> str:
    counts = (claims.as_written, claims.replayed, claims.smaller)
    written, replayed, smaller = ("/".join(map(str, each)) for each in counts)
    at = f"at radius {'/'.join(f'{radius:.10g}' for radius in claims.radii)}" if claims.radii else "answered"
    return (
        f"of the replayed images {at}: {written} as the run says, {replayed} by the replay's own counts, "
        f"{smaller} with differing draws taken from the class too"
    )


def _fresh(fresh: FreshSeed) -> str:
    excluded = "" if fresh.contradicted is None else f", {fresh.contradicted} claims excluded"
    return (
        f"fresh seed {fresh.seed}, {fresh.images} images: {fresh.fresh_votes} of {fresh.fresh_draws} votes for the "
        f"run's classes, the run says {fresh.votes} of {fresh.draws}{excluded}; {fresh.test}, p = {fresh.p_value:.1e}, "
        f"fails at {LEVEL:.0e}; {fresh.power}"
    )


def _unchecked(unchecked: Unchecked, verification: Verification) -> Iterator[str]:
    yield from (f"mark: {mark}" for mark in unchecked.marks)
    if unchecked.own_word:
        yield f"the run's own word: {'; '.join(unchecked.own_word)}"
    rows = ", ".join(str(each.rows) for each in unchecked.escapes)
    odds = ", ".join(f"{each.probability:.3g}" for each in unchecked.escapes)
    yield (
        f"not replayed: {verification.images - verification.replayed} images; a forgery of {rows} of "
        f"{verification.images} escapes with probability {odds}"
    )
    yield f"no verification sees: {'; '.join(unchecked.never_seen)}"
