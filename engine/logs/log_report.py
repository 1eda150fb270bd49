"""What checked logs say to a reader: settings, rows that do not follow, certified accuracy."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np

from purecert.engine.files.canonical import canonical_json
from purecert.engine.logs.accuracy import CertifiedAccuracy, best_at_each_radius
from purecert.engine.logs.checking import REPEATS, LogCheck, Question, counted_rows
from purecert.engine.logs.explaining import ACCUSING_ODDS, CANDIDATE_ALPHA, CANDIDATE_N, TELLING_ODDS, Explanation
from purecert.engine.logs.fingerprint import TOLERANCE, Sampling
from purecert.engine.reports.distribution import MISLEADING, spread_notes
from purecert.engine.reports.text import format_radius, markdown_table

_SHOWN_ROWS = 10
_SHOWN_SETTINGS = 5
_UNKNOWN = "-"
SELECTED = "selected on these images: the best log was chosen by the accuracy that is shown, which so claims too much"


def text_report(checks: Sequence[LogCheck], question: Question) -> str:
    """Return the findings on every log, one table of certified accuracy, and what to know about its lines."""
    findings = [f"{check.log.path}\n" + "\n".join(f"- {line}" for line in _findings(check)) for check in checks]
    lines = [accuracy for check in checks for accuracy in check.accuracies]
    best = best_lines(checks, question)
    table = markdown_table([_header(question), *(_cells(each) for each in [*lines, *best])]) if lines else []
    notes = [f"- {note}" for note in _notes(checks, question, bool(best))]
    return "\n\n".join([*findings, *(["\n".join(table)] if table else []), "\n".join(notes)])


def json_report(checks: Sequence[LogCheck], question: Question) -> list[str]:
    """Return one line of JSON per log, and one for the best of them at each radius where there are several."""
    lines = [canonical_json(_check_fields(check, question)) for check in checks]
    best = best_lines(checks, question)
    if best:
        lines.append(canonical_json({"best_of": [_accuracy_fields(each) for each in best], "mark": SELECTED}))
    return lines


def best_lines(checks: Sequence[LogCheck], question: Question) -> list[CertifiedAccuracy]:
    """Return the best of several logs at each radius, per way to take radii; nothing unless their images agree."""
    images = {tuple((row.index, row.label) for row in counted_rows(check.log, question)) for check in checks}
    if len(checks) < 2 or len(images) > 1:
        return []
    by_way = zip(*(check.accuracies for check in checks), strict=False)  # as many ways as every log has
    return [best_at_each_radius(same_way) for same_way in by_way]


def _findings(check: LogCheck) -> Iterator[str]:
    certified = len(check.log.certified)
    yield f"{len(check.log.rows)} rows, {len(check.log.rows) - certified} of them abstain"
    if any(row.correct is None for row in check.log.rows):
        yield "it has neither labels nor a column correct, so its accuracy is left out"
    if check.log.cut_short:
        yield "the last line broke off and is left out"
    if not certified:
        yield "every row abstains, so draws, alpha, sigma and print format cannot be told"
    elif not check.settings:
        yield f"no setting explains it; tried: {_tried()}"
    if len(check.settings) > 1:
        yield f"{len(check.settings)} settings explain it about equally well and cannot be told apart:"
    yield from (f"{_setting(each)}" for each in check.settings)
    if check.told_by_name:
        yield f"sigma comes from the file's name alone: others explain the log as well as {check.log.sigma_hint} does"
    yield from _less_likely(check)
    if check.refuted_defence:
        yield f"every row would follow from {refuted_defence(check)}"
    for row in check.unexplained[:_SHOWN_ROWS]:
        yield f"image {row.index}: radius {row.printed} follows from no count"
    if len(check.unexplained) > _SHOWN_ROWS:
        yield f"and {len(check.unexplained) - _SHOWN_ROWS} more rows whose radius follows from no count"
    yield from check.contradictions[:_SHOWN_ROWS]


def _setting(each: Explanation) -> str:
    total = int(each.rows.sum())
    formats = " or ".join(str(form) for form in each.formats)
    sampling = each.sampling
    return (
        f"n = {sampling.n}, alpha = {sampling.alpha:g}, sigma = {sampling.sigma:g}, printed {formats}: explains "
        f"{each.rows_explained} of {total} radii; {each.rows_at_ceiling} stand at the ceiling {each.ceiling:.5g}; "
        f"a radius made up below it would be explained too in {_percent(each.coverage, ROUND_CEILING)} of the cases"
    )


def _less_likely(check: LogCheck) -> Iterator[str]:
    others = check.less_likely
    if others:
        odds = (check.settings[0].log_likelihood - others[0].log_likelihood) / math.log(10)
        shown = "; ".join(
            f"n = {each.sampling.n}, alpha = {each.sampling.alpha:g}, sigma = {each.sampling.sigma:g}"
            for each in others[:_SHOWN_SETTINGS]
        )
        more = f"; and {len(others) - _SHOWN_SETTINGS} more" if len(others) > _SHOWN_SETTINGS else ""
        yield f"{len(others)} others explain as many rows but are 10^{odds:.0f} times less likely: {shown}{more}"


def refuted_defence(check: LogCheck) -> str:
    """Return in words which setting explains every row, though it is too unlikely to be taken; "" for none."""
    other = check.refuted_defence
    if other is None:
        return ""
    sampling = other.sampling
    odds = (check.settings[0].log_likelihood - other.log_likelihood) / math.log(10)
    return (
        f"n = {sampling.n}, alpha = {sampling.alpha:g}, sigma = {sampling.sigma:g}, printed "
        f"{' or '.join(map(str, other.formats))}, which is 10^{odds:.0f} times less likely"
    )


def _header(question: Question) -> list[str]:
    return [
        "log",
        "radii",
        "n",
        "alpha",
        "images",
        *(f"r >= {r:.10g}" for r in question.radii),
        "avg radius",
        "abstained",
    ]


def _cells(each: CertifiedAccuracy) -> list[str]:
    per_radius = each.certified.sum(axis=0).tolist()
    whole = each.images * len(each.certified)
    draws = [f"{each.sampling.n}", f"{each.sampling.alpha:g}"] if each.sampling else [_UNKNOWN, _UNKNOWN]
    shares = [_percent(Decimal(count) / whole, ROUND_FLOOR) for count in per_radius]
    average = _UNKNOWN if math.isnan(each.average_radius) else format_radius(each.average_radius)
    abstained = _percent(Decimal(int(each.abstained.sum())) / whole, ROUND_FLOOR) if each.abstained.size else _UNKNOWN
    return [each.log, each.how, *draws, f"{each.images}", *shares, average, abstained]


def _notes(checks: Sequence[LogCheck], question: Question, has_best: bool) -> Iterator[str]:
    yield (
        f"explained: an integer count gives a radius that is printed so, up to {TOLERANCE:g} sigma; tried, where not "
        f"given: {_tried()}"
    )
    yield "as printed: what the log says, roundings included; least counts: what is proved whatever was rounded away"
    if any(len(check.settings) > 1 for check in checks):
        yield "of settings that a log does not tell apart none is taken, and only what it prints is counted"
    anew = [each for check in checks for each in check.accuracies if each.how == "certified anew"]
    if anew:
        yield "certified anew: from the least counts"
    if question.thin is not None and anew:
        deviation = max(float(each.certified.std(axis=0).max()) / each.images for each in anew)
        yield (
            f"certified anew: mean of {REPEATS} choices of the draws (seed {question.seed}); one choice scatters by up "
            f"to {_percent(deviation, ROUND_CEILING)} (standard deviation)"
        )
    if revivals := [check.revival for check in checks if check.revival is not None]:
        yield (
            "certified anew: rows that abstain keep abstaining, since their counts are not in the log; each would be "
            f"certified with probability at most {_percent(max(revivals), ROUND_CEILING)}"
        )
    for each in (accuracy for check in checks for accuracy in check.accuracies):
        if each.distribution is not None:
            yield from (f"{each.log}, {each.how}: {note}" for note in spread_notes(each.distribution))
    if any(check.accuracies for check in checks):
        yield MISLEADING
    if has_best:
        yield SELECTED


def _tried() -> str:
    return f"n of {', '.join(map(str, CANDIDATE_N))}; alpha of {', '.join(f'{each:g}' for each in CANDIDATE_ALPHA)}"


def _check_fields(check: LogCheck, question: Question) -> dict[str, object]:
    return {
        "log": check.log.path,
        "rows": len(check.log.rows),
        "abstained": len(check.log.rows) - len(check.log.certified),
        "cut_short": check.log.cut_short,
        "explained": not check.unexplained,
        "told": check.told is not None,
        "told_by_name": check.told_by_name,
        "settings": [_setting_fields(each) for each in check.settings],
        "less_likely": [_setting_fields(each) for each in check.less_likely],
        "every_row_would_follow_from": _setting_fields(check.refuted_defence) if check.refuted_defence else None,
        "telling_odds": TELLING_ODDS,
        "accusing_odds": ACCUSING_ODDS,
        "tolerance": TOLERANCE,
        "unexplained": [{"index": row.index, "radius": row.printed} for row in check.unexplained],
        "contradictions": list(check.contradictions),
        "seed": question.seed,
        "revival_at_most": check.revival,
        "accuracies": [_accuracy_fields(each) for each in check.accuracies],
    }


def _setting_fields(each: Explanation) -> dict[str, object]:
    return {
        **_sampling_fields(each.sampling),
        "formats": [str(form) for form in each.formats],
        "rows_explained": each.rows_explained,
        "rows_at_ceiling": each.rows_at_ceiling,
        "ceiling": each.ceiling,
        "coverage": each.coverage,
        "log_likelihood": each.log_likelihood,
    }


def _sampling_fields(sampling: Sampling | None) -> dict[str, object]:
    if sampling is None:
        return {"n": None, "alpha": None, "sigma": None}
    return {"n": sampling.n, "alpha": sampling.alpha, "sigma": sampling.sigma}


def _accuracy_fields(each: CertifiedAccuracy) -> dict[str, object]:
    return {
        "log": each.log,
        "radii": each.how,
        **_sampling_fields(each.sampling),
        "images": each.images,
        "certified_at": [
            {"radius": radius, "images": float(np.mean(counts)), "standard_deviation": float(np.std(counts))}
            for radius, counts in zip(each.radii, each.certified.T, strict=True)
        ],
        "average_radius": None if math.isnan(each.average_radius) else each.average_radius,
        "distribution": None if each.distribution is None else asdict(each.distribution),
    }


def _percent(share: float | Decimal, rounding: str) -> str:
    return f"{(Decimal(share) * 100).quantize(Decimal('0.01'), rounding=rounding)} %"
