"""How the learning rate goes through a training: each schedule is a share of the plan's rate, in [0, 1]."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Constant:
    """A linear warm-up, then the whole rate."""

    warm_up: int = 0  # steps

    def __post_init__(self) -> None:
        _check_warm_up(self.warm_up)

    def share(self, step: int, steps: int) -> float:
        """Return the share of the rate at ``step``, counted from 0, of ``steps``."""
        return _ramp(step, self.warm_up)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cosine:
    """A linear warm-up, times half a cosine from 1 to 0 after the last step (Loshchilov and Hutter 2017)."""

    warm_up: int = 100  # steps

    def __post_init__(self) -> None:
        _check_warm_up(self.warm_up)

    def share(self, step: int, steps: int) -> float:
        """Return the share of the rate at ``step``, counted from 0, of ``steps``."""
        return _ramp(step, self.warm_up) * 0.5 * (1 + math.cos(math.pi * step / steps))


@dataclass(frozen=True, kw_only=True, slots=True)
class Staircase:
    """A linear warm-up, then the rate times ``factor`` at each of the given parts of the training."""

    at: tuple[float, ...] = (1 / 3, 2 / 3)  # shares of all steps; Cohen et al. 2019: after 30 and 60 of 90 epochs
    factor: float = 0.1
    warm_up: int = 0  # steps

    def __post_init__(self) -> None:
        _check_warm_up(self.warm_up)
        if list(self.at) != sorted(self.at) or not all(0 < part < 1 for part in self.at):
            raise ValueError(f"at must rise and lie inside of (0, 1), got {self.at}")
        if not 0 < self.factor < 1:
            raise ValueError(f"factor must be in (0, 1), got {self.factor}")

    def share(self, step: int, steps: int) -> float:
        """Return the share of the rate at ``step``, counted from 0, of ``steps``."""
        falls = sum(step >= round(part * steps) for part in self.at)
        return _ramp(step, self.warm_up) * self.factor**falls


Schedule = Constant | Cosine | Staircase


def _ramp(step: int, warm_up: int) -> float:
    return min(1.0, (step + 1) / max(1, warm_up))


def _check_warm_up(warm_up: int) -> None:
    if warm_up < 0:
        raise ValueError(f"warm_up must be at least 0 steps, got {warm_up}")
