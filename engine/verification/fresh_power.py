"""What the tests of a fresh seed can find with the images that they were given, said beside what they found."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from purecert.engine.statistics.vote_tests import LEVEL, stratified_p_value

_PARTS = 1000  # of the votes: what is found is given in thousandths


@dataclass(frozen=True, kw_only=True, slots=True)
class Power:
    """What a test can find at its level: of a fixed n ``finds``, of draws that stop early the last two fields."""

    images: int  # compared
    can_fail: bool
    needed: int | None  # images, at the least, of which it can fail; None where it can, or more draws are needed
    finds: float | None = None  # the least share of the run's votes whose absence from the fresh draws fails
    flippable: int | None = None  # images that differ, whose signs can be flipped
    flips_needed: int | None = None  # of those, at the least, of which the flips can fail

    def __str__(self) -> str:
        """Return it in words."""
        if not self.can_fail:
            more = "more draws" if self.needed is None else f"{self.needed} or more"
            return f"with {self.images} images this test cannot fail; {more} are needed"
        if self.finds is not None:
            return f"it fails where fresh draws give {self.finds:.1%} fewer votes"
        if self.flippable is not None and self.flips_needed is not None and self.flippable < self.flips_needed:
            return (
                f"with {self.flippable} images that differ the sign flips cannot fail, only excluded claims can; "
                f"{self.flips_needed} or more are needed"
            )
        return f"the sign flips of {self.flippable} images that differ can fail"


def power_of_fixed(
    votes: Sequence[int], draws: Sequence[int], fresh_draws: Sequence[int], *, upward_only: bool
) -> Power:
    """Return what the test stratified by image can find, where the run's own votes are these.

    The least share of them is sought of which the fresh draws can have fewer, in each image alike, and the test fails.
    """

    def p_value(part: int) -> float:
        fresh = [k * m * (_PARTS - part) // (n * _PARTS) for k, n, m in zip(votes, draws, fresh_draws, strict=True)]
        return stratified_p_value(votes, draws, fresh, fresh_draws, upward_only=upward_only)

    least = p_value(_PARTS) if votes else 1.0
    if least > LEVEL:
        needed = _images_for(least, len(votes), upward_only=upward_only)
        return Power(images=len(votes), can_fail=False, needed=needed)
    low, high = 0, _PARTS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if p_value(middle) <= LEVEL else (middle, high)
    return Power(images=len(votes), can_fail=True, needed=None, finds=high / _PARTS)


def power_of_early(images: int, flippable: int, claims: int, chance: float) -> Power:
    """Return what sign flips, and a count of excluded claims, can find; each has half of the level.

    Args:
        images: That are compared.
        flippable: How many of them differ, so that their signs can be flipped.
        claims: Certificates or answers among them, which fresh draws can exclude.
        chance: Probability, at most, that they exclude a true one.
    """
    flips = math.ceil(-math.log2(LEVEL / 2))
    excluded = math.ceil(math.log(LEVEL / 2) / math.log(chance)) if 0 < chance < 1 else flips
    can_fail = flippable >= flips or (claims >= excluded and chance < 1)
    needed = None if can_fail else min(flips, excluded)
    return Power(images=images, can_fail=can_fail, needed=needed, flippable=flippable, flips_needed=flips)


def _images_for(least: float, images: int, *, upward_only: bool) -> int | None:
    """Return how many images like these bring the least p-value, which is ``least`` of ``images``, to the level."""
    if least >= 1:
        return None
    sides = 1 if upward_only else 2
    return math.ceil(math.log(LEVEL / sides) / math.log(least / sides) * images)
