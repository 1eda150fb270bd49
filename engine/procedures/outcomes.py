"""What one image's answer ends in."""

from dataclasses import dataclass

# Of each radius that a stopping table decides, in their order: how many draws it took, and the successes among them.
# Where draws were continued: the same of the look before that, and of the last one.
Stops = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """The smoothed classifier answers ``predicted`` at every point closer than ``radius`` (L2, [0, 1] pixel units).

    ``p_lower`` bounds the class's probability under noise; all three hold together with probability 1 - alpha.
    """

    predicted: int
    p_lower: float
    radius: float
    stops: Stops = ()  # empty where no table decides, and draws were not continued


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """The smoothed classifier's answer, right with probability 1 - alpha; it claims no radius.

    Were another class the answer, a ``p_value`` so small, wherever the draws stopped, would be as unlikely as it says.
    """

    predicted: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Abstention:
    """The draws did not settle the answer at this alpha."""

    stops: Stops = ()  # as of a certificate


Outcome = Certificate | Prediction | Abstention


def stops_of(outcome: Outcome) -> Stops:
    """Return where each radius was decided; empty where no stopping table decides."""
    return () if isinstance(outcome, Prediction) else outcome.stops
