"""An answer as text and as JSON: headed by what it is not, so that none is taken for the run's own result."""

from collections.abc import Iterator
from dataclasses import asdict

from purecert.engine.files.canonical import canonical_json
from purecert.engine.questions.answer import Answer
from purecert.engine.reports.distribution import distribution_notes
from purecert.engine.reports.text import UNKNOWN, format_radius, markdown_table, rounded_up, share

_FORMULAS = {
    "certificates": "sigma Phi^-1(p_A), p_A at alpha; Cohen, Rosenfeld and Kolter 2019",
    "two-sided": "sigma / 2 (Phi^-1(p_A) - Phi^-1(p_B)), p_B = min(1 - p_A, the largest bound of all other classes); "
    "p_A at alpha / 2, the others share alpha / 2; Cohen, Rosenfeld and Kolter 2019",
    "top-k": "the class stays among the k most probable; p_A at alpha / 2, all other classes share alpha / 2; "
    "Jia, Cao, Wang and Gong 2020",
    "costs": "no class that costs something can be the answer; p_A at alpha / 2, the costly classes share alpha / 2; "
    "Xin, Chen, Backes and Zhang 2025",
}


def answer_json(answer: Answer) -> str:
    """Return ``answer`` as one line of JSON, its claims image by image."""
    return canonical_json({"purecert_question": asdict(answer)})


def answer_text(answer: Answer) -> str:
    """Return ``answer`` as a heading, a table and what to know. Shares and radii are rounded down."""
    lines = [
        f"QUESTION put to the finished run {answer.run}: {_asked(answer)}",
        f"This is {answer.is_not} (engine-report {answer.run}).",
        "",
        *_table(answer),
        "",
        *(f"- {note}" for note in _notes(answer)),
    ]
    return "\n".join(lines)


def name_of(answer: Answer) -> str:
    """Return the kind of question in a word, as in the names of files."""
    return f"top-{answer.top_k}" if answer.kind == "top-k" else answer.kind


def _asked(answer: Answer) -> str:
    return f"{name_of(answer)} at alpha {answer.alpha:.6g} from {answer.n} of its {answer.run_n} draws"


def _table(answer: Answer) -> list[str]:
    whole, points = answer.images_asked, answer.answered_at
    heading = ["question", "run", "sigma", "n", "alpha", "images", *(f"r >= {p.radius:.10g}" for p in points)]
    identity = [name_of(answer), answer.run, f"{answer.sigma}", f"{answer.n}", f"{answer.alpha:.6g}", f"{whole}"]
    average = UNKNOWN if answer.average_radius is None else format_radius(answer.average_radius)
    return markdown_table(
        [
            [*heading, "avg radius"],
            [*identity, *(share(point.images, whole) for point in points), average],
            ["at least", *[""] * 5, *(share(point.images_at_least, whole) for point in points), UNKNOWN],
        ]
    )


def _notes(answer: Answer) -> Iterator[str]:
    claims = answer.false_claims
    yield f"radius: {_FORMULAS[answer.kind]} (docs/questions.md)"
    if not answer.is_labelled:
        yield "no labels, so no accuracy: counted are the classes that the run's first draws picked"
    elif answer.kind == "top-k":
        yield "the class is the label, whichever class the run's first draws picked"
    if answer.kind == "costs":
        left = answer.images - answer.images_asked
        yield f"{left} of {answer.images} images are left out: no mistake costs anything for their label"
    yield (
        f"alpha {answer.alpha:.6g} each: among {answer.images_asked} images at most "
        f"{rounded_up(claims.expected_at_most)} false claims are expected; at least: the share after subtracting "
        f"{claims.number_at_most} (confidence {100 * (1 - claims.rho):.10g} %)"
    )
    if answer.thinning_seed is not None:
        yield (
            f"the {answer.n} draws were chosen at random by seed {answer.thinning_seed}, which run.json and n fix "
            f"(numpy {answer.numpy})"
        )
    if answer.distribution is not None:
        yield from distribution_notes(answer.distribution)
    yield answer.choice
    yield from answer.marks
