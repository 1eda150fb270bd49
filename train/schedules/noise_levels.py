"""Noise grids, the rules that turn a pixel noise level into a network time, and the schedules of training."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from purecert.engine.errors import InputError

TimeRule = Literal["exact", "nearest-2sigma", "nearest-sigma"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseRange:
    """The noise levels of a network on the [-1, 1] scale, and the Karras grid between them."""

    t_min: float = 0.002
    t_max: float = 80.0
    rho: float = 7.0  # how much finer the grid is at low noise

    def __post_init__(self) -> None:
        if not 0 < self.t_min < self.t_max < math.inf:
            raise ValueError(f"noise levels need 0 < t_min < t_max, got {self.t_min} and {self.t_max}")
        if not 1 <= self.rho < math.inf:
            raise ValueError(f"rho must be at least 1, got {self.rho}")

    def grid(self, points: int) -> tuple[float, ...]:
        """Return ``points`` levels from t_max down to t_min, even in t^(1/rho) (Karras et al. 2022, eq. 5)."""
        if points < 2:
            raise ValueError(f"a grid needs at least 2 points, got {points}")
        high, low = self.t_max ** (1 / self.rho), self.t_min ** (1 / self.rho)
        inner = ((high + i / (points - 1) * (low - high)) ** self.rho for i in range(1, points - 1))
        return (self.t_max, *inner, self.t_min)

    def ascending_grid(self, points: int) -> Tensor:
        """Return the same levels from t_min up, as float64, for drawing training pairs."""
        return torch.tensor(self.grid(points)[::-1], dtype=torch.float64)


def choose_time(sigma: float, rule: TimeRule, levels: NoiseRange, grid_points: int) -> float:
    """Return the time at which a network denoises pixels with noise of std ``sigma``.

    A network on the [-1, 1] scale sees a std of 2 sigma. ``exact`` returns that; ``nearest-2sigma`` the nearest point
    of the grid, as networks distilled on a grid need; ``nearest-sigma`` the grid point nearest to sigma itself, as
    the text of Consistency Purification has it.

    Args:
        sigma: Noise std in [0, 1] pixel units, at least 0.
        rule: See above.
        levels: The network's range of times.
        grid_points: Points of the grid of the two ``nearest`` rules.

    Raises:
        InputError: The noise is outside what the network was trained for.
    """
    if not 0 <= sigma < math.inf:
        raise InputError(f"sigma must be a finite number of at least 0 in [0, 1] pixel units, got {sigma}")
    if 2 * sigma > levels.t_max:
        raise InputError(
            f"sigma {sigma} is more noise than the purifier was trained for; use sigma <= {levels.t_max / 2:g}"
        )
    if rule == "exact":
        return max(2 * sigma, levels.t_min)
    target = 2 * sigma if rule == "nearest-2sigma" else sigma
    return min(levels.grid(grid_points), key=lambda t: abs(t - target))


@dataclass(frozen=True, kw_only=True, slots=True)
class Curriculum:
    """How many grid intervals consistency training uses at each step: doubling from ``first`` to ``last``.

    Song and Dhariwal 2023, section 3.4: N(k) = min(first 2^floor(k / K'), last) + 1 points with
    K' = floor(K / (log2(floor(last / first)) + 1)).
    """

    first: int = 10
    last: int = 1280
    steps: int = 1  # K, the length of the training

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last or self.steps < 1:
            raise ValueError(f"a curriculum needs 1 <= first <= last and a positive length, got {self}")

    def points(self, step: int) -> int:
        """Return the grid's number of points at ``step``, counted from 0."""
        stage_length = max(1, math.floor(self.steps / (math.log2(math.floor(self.last / self.first)) + 1)))
        return int(min(self.first * 2 ** (step // stage_length), self.last)) + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class LognormalTimes:
    """How often training draws each grid interval: by its lognormal mass (Song and Dhariwal 2023, eq. 10)."""

    mean: float = -1.1  # of ln t
    std: float = 2.0

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise ValueError(f"the std of ln t must be > 0, got {self.std}")

    def weights(self, ascending: Tensor) -> Tensor:
        """Return the probability of each interval between neighbours of an ascending grid."""
        mass: Tensor = torch.special.erf((ascending.log() - self.mean) / (math.sqrt(2.0) * self.std)).diff()
        return mass / mass.sum()


def ema_decay(step: int, half_life: float, ramp_up: float = 0.05) -> float:
    """Return the decay of a weight average at ``step`` (Karras et al. 2022, app. F.2).

    The half life, in steps, is limited to ``ramp_up`` of the steps done, so that the start is forgotten early.
    """
    return float(0.5 ** (1.0 / max(min(half_life, ramp_up * step), 1e-8)))
