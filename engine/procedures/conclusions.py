"""What counts amount to, without the draws: the outcomes of finished images, recomputed from their lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from purecert.engine.errors import InputError
from purecert.engine.procedures.answering import AnswerRule
from purecert.engine.procedures.certify import certificates
from purecert.engine.procedures.drawing import Counts
from purecert.engine.procedures.extending import continuation_problem
from purecert.engine.procedures.looks import Tally, draws_left, looks_problem
from purecert.engine.procedures.outcomes import Abstention, Outcome, Stops
from purecert.engine.procedures.predict import answered, prediction
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.procedures.tables.paths import path_problems
from purecert.engine.procedures.tables.rule import stop_rule, table_rule


@dataclass(frozen=True, slots=True)
class Votes:
    """The counts of one phase: class -> draws (none of 0), and the draws that were invalid."""

    classes: Mapping[int, int]
    invalid: int = 0

    @property
    def draws(self) -> int:
        """Return how many draws there are, invalid ones included."""
        return sum(self.classes.values()) + self.invalid

    @property
    def top(self) -> int | None:
        """Return the class that leads, the first of several; None where no draw was valid."""
        return min(self.classes, key=lambda label: (-self.classes[label], label), default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """An image whose draws have ended."""

    phases: Sequence[Votes]  # of each phase that was drawn, in order
    classes: int
    label: int | None  # the data's
    looks: int | None = None  # how often the draws of the second phase were looked at; None: not asked about
    stops: Stops = ()  # where each radius was decided, where stopping tables decide; the first look of continued draws


@dataclass(frozen=True, slots=True)
class _Estimated:
    """An image whose draws of the second phase speak of class ``top``."""

    top: int
    votes: Votes
    looks: int | None
    stops: Stops


def conclude(spec: SmoothingSpec, tv: float, phases: Sequence[Counts], label: int | None, stops: Stops = ()) -> Outcome:
    """Return the outcome of a procedure of ``spec`` that ended with these counts.

    Args:
        spec: Sampling plan.
        tv: Total variation of one draw's noise from the ideal Gaussian.
        phases: Counts of each phase that was drawn, in order; an entry a class, the last of invalid draws.
        label: The data's, where the spec takes the class from there.
        stops: Where each radius was decided, where stopping tables decide; the first look of continued draws.

    Raises:
        InputError: No procedure of ``spec`` ends with these counts.
    """
    if label is not None and spec.against_label and phases and not 0 <= label < len(phases[0]) - 1:
        raise InputError(f"expected a label below {len(phases[0]) - 1}, the number of classes, found {label}")
    votes = [Votes({int(i): int(counts[i]) for i in np.flatnonzero(counts[:-1])}, int(counts[-1])) for counts in phases]
    classes = len(phases[0]) - 1 if phases else 0
    (found,) = conclude_all(spec, tv, [Ended(phases=votes, classes=classes, label=label, stops=stops)])
    if isinstance(found, str):
        raise InputError(found)
    return found


def conclude_all(spec: SmoothingSpec, tv: float, ended: Sequence[Ended]) -> list[Outcome | str]:
    """Return the outcome of each image as ``conclude`` does, or in words why no procedure of ``spec`` ends so.

    Where an image's looks are given, these are checked too, and that draws which all agree ended when their rule ends.

    Raises:
        InputError: No procedure of ``spec`` can settle anything.
    """
    if spec.mode == "predict" and spec.stop is None:
        return [_voted(spec, tv, one) for one in ended]
    begun = [_begun(spec, one) for one in ended]
    estimated = {place: one for place, one in enumerate(begun) if isinstance(one, _Estimated)}
    concluded = dict(zip(estimated, _estimated(spec, tv, list(estimated.values())), strict=True))
    return [concluded[place] if isinstance(one, _Estimated) else one for place, one in enumerate(begun)]


def _voted(spec: SmoothingSpec, tv: float, one: Ended) -> Outcome | str:
    """Return what a prediction concludes whose draws all vote at once."""
    if problem := _draws_problem(one, [spec.n_estimate]) or _fixed_looks_problem(one, 0):
        return problem
    (votes,) = one.phases
    counts = np.zeros(one.classes + 1, np.int64)
    counts[list(votes.classes)] = list(votes.classes.values())
    counts[-1] = votes.invalid
    return prediction(spec, tv, counts)


def _begun(spec: SmoothingSpec, one: Ended) -> _Estimated | Outcome | str:
    """Return the image with the class that its second phase speaks of, or its end where there is no such class."""
    if spec.against_label:
        top, selection = one.label, []
    else:
        top, selection = (one.phases[0].top if one.phases else None), [spec.n_select]
    if top is None and spec.stop is not None:
        # No draw was valid, so no second phase was begun.
        return _draws_problem(one, [spec.n_select]) or _fixed_looks_problem(one, 0) or Abstention()
    found = one.phases[-1].draws if one.phases else 0
    may_end = spec.stop is not None and 1 <= found <= spec.n_estimate and found % spec.step == 0
    estimation = found if may_end else spec.n_estimate
    if problem := _draws_problem(one, [*selection, estimation]):
        return problem
    if spec.stop is None and (problem := _fixed_looks_problem(one, 1 + spec.is_extended)):
        return problem
    if top is None:
        return Abstention()
    return _Estimated(top, one.phases[-1], one.looks, one.stops if spec.tables or spec.is_extended else ())


def _estimated(spec: SmoothingSpec, tv: float, images: Sequence[_Estimated]) -> list[Outcome | str]:
    """Return what the draws of the second phase prove, or why they did not end where their rule ends."""
    if not images:
        # Refuses a rule that can settle nothing.
        _ = stop_rule(spec, tv) if spec.mode == "certify" else AnswerRule(spec, tv, 0)
        return []
    tallies = np.array([_tally(spec, one) for one in images], np.int64)
    if spec.tables:
        return _decided(spec, tv, images, tallies)
    n = tallies.sum(axis=-1)
    ends = (n == spec.n_estimate) | (draws_left(spec, tv, tallies) == 0)
    wrong: list[str | None] = [None] * len(images)
    if spec.is_extended:
        wrong = [
            continuation_problem(spec, one.stops, k) for one, k in zip(images, tallies[:, 0].tolist(), strict=True)
        ]
        # What cannot be is not counted with.
        images = [replace(one, stops=()) if problem else one for one, problem in zip(images, wrong, strict=True)]
    outcomes = _outcomes(spec, tv, images, tallies)
    judged = zip(images, tallies, ends.tolist(), outcomes, wrong, strict=True)
    return [
        problem or _end_problem(spec, tv, one, tally, has_ended) or outcome
        for one, tally, has_ended, outcome, problem in judged
    ]


def _decided(spec: SmoothingSpec, tv: float, images: Sequence[_Estimated], tallies: Tally) -> list[Outcome | str]:
    """Return the same of a run with stopping tables: where each radius was decided must be places on one path."""
    rule, n = table_rule(spec, tv), tallies.sum(axis=-1)
    wrong = path_problems(rule, [one.stops for one in images], tallies[:, 0], n, [one.looks for one in images])
    return [problem or outcome for problem, outcome in zip(wrong, _outcomes(spec, tv, images, tallies), strict=True)]


def _tally(spec: SmoothingSpec, one: _Estimated) -> tuple[int, int, int]:
    own, draws = one.votes.classes.get(one.top, 0), one.votes.draws
    if spec.mode == "certify":
        return own, draws - own, 0
    # Of the rivals the strongest decides: each draw more of a rival's makes it harder to refute, and easier to show.
    rival = max((count for label, count in one.votes.classes.items() if label != one.top), default=0)
    return own, rival, draws - own - rival


def _outcomes(spec: SmoothingSpec, tv: float, images: Sequence[_Estimated], tallies: Tally) -> list[Outcome]:
    tops = [one.top for one in images]
    if spec.mode == "certify":
        return certificates(spec, tv, tops, tallies[:, 0], tallies.sum(axis=-1), [one.stops for one in images])
    p_values = AnswerRule(spec, tv, 0).all_p_values(tallies).tolist()
    return [answered(spec, top, p_value) for top, p_value in zip(tops, p_values, strict=True)]


def _end_problem(spec: SmoothingSpec, tv: float, one: _Estimated, tally: Tally, has_ended: bool) -> str | None:
    if not has_ended:
        return f"expected {spec.n_estimate} draws per phase, or as many as the rule stops at, found {tally.sum()}"
    return None if one.looks is None or spec.stop is None else looks_problem(spec, tv, tally, one.looks)


def _draws_problem(one: Ended, wanted: Sequence[int]) -> str | None:
    found = [votes.draws for votes in one.phases]
    return None if found == list(wanted) else f"expected {tuple(wanted)} draws per phase, found {tuple(found)}"


def _fixed_looks_problem(one: Ended, looks: int) -> str | None:
    return None if one.looks in (None, looks) else f"expected {looks} looks, found {one.looks}"
