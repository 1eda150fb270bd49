"""Every path of a real procedure, and the exact probability of what it claims where draws are of unlike laws.

A procedure is a generator, so it is driven: each history of counts is sent to a fresh one, which asks for more or ends.
Histories that amount to the same counts of each phase are followed once; that they lead to the same is checked. What
the procedure does is found once, whatever the draws' laws; then the probabilities of all histories are added up.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from purecert.engine.procedures import certify, predict
from purecert.engine.procedures.answering import AnswerRule
from purecert.engine.procedures.drawing import Draw, Procedure
from purecert.engine.procedures.outcomes import Outcome
from purecert.engine.procedures.stopping import CountRule

Counted = tuple[int, ...]  # of each class, and of invalid rows, that a history shows
Places = tuple[tuple[float, ...], ...]  # of each place in a batch: the probability of each class and of an invalid row
_History = tuple[Counted, ...]
_State = tuple[Counted, ...]  # counts of each phase so far


@dataclass(frozen=True, slots=True)
class _Asked:
    draw: Draw
    first: int  # number of the first draw that is asked for, in its phase
    next: dict[Counted, "_State"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Paths:
    """What a procedure does after every history that draws can show."""

    start: _State
    asked: Mapping[_State, _Asked]  # in an order in which each state comes after those that lead to it
    ended: Mapping[_State, Outcome]

    def probabilities(self, places: Places) -> Iterator[tuple[float, Outcome]]:
        """Yield how likely each end is, and what is said there; draw i lies at place i mod batch."""
        likely = dict.fromkeys((*self.asked, *self.ended), 0.0)
        likely[self.start] = 1.0
        for state, asked in self.asked.items():
            law = _law(places, asked.first % len(places), asked.draw.count)
            for counted, following in asked.next.items():
                likely[following] += likely[state] * law.get(counted, 0.0)
        for state, outcome in self.ended.items():
            yield likely[state], outcome


@contextmanager
def remembered() -> Iterator[None]:
    """Let the rules answer from memory what they were asked before, which many histories ask: they are functions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CountRule, "remaining", _once(CountRule.remaining))
        patch.setattr(certify, "certificate", _once(certify.certificate))
        patch.setattr(predict, "AnswerRule", _once(AnswerRule))
        patch.setattr(AnswerRule, "remaining", _once(AnswerRule.remaining))
        patch.setattr(AnswerRule, "p_value", _once(AnswerRule.p_value))
        yield


def _once(function: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[object, Any] = {}

    def answer(*given: Any) -> Any:
        key = tuple(one.tobytes() if isinstance(one, np.ndarray) else one for one in given)
        if key not in known:
            known[key] = function(*given)
        return known[key]

    return answer


def paths_of(fresh: Callable[[], Procedure], classes: int, *, invalid: bool = False) -> Paths:
    """Return every path of the procedures that ``fresh`` makes, of so many classes and, where asked, invalid rows."""
    first = next(fresh())
    start: _State = ((0,) * (classes + 1),) * 2
    asked, ended = {start: _Asked(first, 0)}, dict[_State, Outcome]()
    histories: dict[_State, _History] = {start: ()}
    waiting = [start]
    for state in waiting:
        here = asked[state]
        for counted in _every(here.draw.count, classes, invalid=invalid):
            history = (*histories[state], counted)
            following = _added(state, here.draw.phase, counted)
            found = _after(fresh(), history)
            if isinstance(found, Draw):
                again = _Asked(found, sum(following[found.phase]))
                if following not in asked:
                    asked[following], histories[following] = again, history
                    waiting.append(following)
                known: object = asked[following].draw
            else:
                known = ended.setdefault(following, found)
            assert known == found, "a procedure asked or said something else after the same counts"
            here.next[counted] = following
    return Paths(start, asked, ended)


def _after(procedure: Procedure, history: _History) -> Draw | Outcome:
    """Return what a fresh procedure asks for, or ends in, once it has received ``history``."""
    asked = next(procedure)
    try:
        for counted in history:
            assert asked.count == sum(counted)
            asked = procedure.send(np.array(counted, np.int64))
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    return asked


def _added(state: _State, phase: int, counted: Counted) -> _State:
    phases = list(state)
    phases[phase] = tuple(a + b for a, b in zip(phases[phase], counted, strict=True))
    return tuple(phases)


@lru_cache(maxsize=256)
def _every(count: int, classes: int, *, invalid: bool) -> Sequence[Counted]:
    """Return every way in which ``count`` draws can show the classes and, last, invalid rows."""
    if classes == 0:
        return [(count,)] if invalid or not count else []
    return [(one, *rest) for one in range(count + 1) for rest in _every(count - one, classes - 1, invalid=invalid)]


@lru_cache(maxsize=4096)
def _law(places: Places, first: int, count: int) -> Mapping[Counted, float]:
    """Return the probabilities of what ``count`` draws show, from place ``first`` on."""
    law: dict[Counted, float] = {(0,) * len(places[0]): 1.0}
    for number in range(first, first + count):
        moved: dict[Counted, float] = {}
        for counted, probability in law.items():
            for entry, chance in enumerate(places[number % len(places)]):
                if chance:
                    shown = (*counted[:entry], counted[entry] + 1, *counted[entry + 1 :])
                    moved[shown] = moved.get(shown, 0.0) + probability * chance
        law = moved
    return law
