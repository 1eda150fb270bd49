"""The schedules of rRCM's pre-training (arXiv 2501.13094): how fine the grid is, and how slow the target network."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class CeilingCurriculum:
    """How many points the time grid has at each step: N(k) = min(first 2^ceil(k / K'), last) + 1.

    K' = ceil(K / log2(ceil(last / first) + 1)). Other than in ``Curriculum``, which rounds down, the coarsest grid
    serves step 0 alone: at the defaults 21 points there, then 41, and 81 after step K'.
    """

    first: int = 20
    last: int = 80
    steps: int = 1  # K, the length of the training

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last or self.steps < 1:
            raise ValueError(f"a curriculum needs 1 <= first <= last and a positive length, got {self}")

    @property
    def stage_length(self) -> int:
        """K', the steps between two doublings."""
        return math.ceil(self.steps / math.log2(math.ceil(self.last / self.first) + 1))

    def points(self, step: int) -> int:
        """Return the grid's number of points at ``step``, counted from 0."""
        doublings = -(-step // self.stage_length)  # ceil, in integers
        return int(min(self.first * 2**doublings, self.last)) + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SigmoidDecay:
    """The decay mu of the target network's average, which follows a sigmoid from ``start`` to almost ``end``.

    With s = start, e = end, A = sharpness and S = steps: e_k = sqrt(k / S (e^2 - s^2) + s^2), u = (e_k - s) / (e - s),
    c = 2 / (1 + exp(-A u)) - 1, mu = c e + (1 - c) s.
    """

    start: float = 0.99
    end: float = 0.9999
    sharpness: float = 15.0  # 15 for CIFAR-10, 10 for ImageNet
    steps: int = 1  # the length of the training

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end < 1:
            raise ValueError(f"a rising decay needs 0 <= start < end < 1, got {self.start} and {self.end}")
        if not 0 < self.sharpness < math.inf or self.steps < 1:
            raise ValueError(f"a decay needs a positive sharpness and length, got {self.sharpness} and {self.steps}")

    def decay(self, step: int) -> float:
        """Return mu at ``step``, counted from 0."""
        start, end = self.start, self.end
        root = math.sqrt(step / self.steps * (end**2 - start**2) + start**2)
        c = math.tanh(self.sharpness * (root - start) / (end - start) / 2)  # the same as 2 / (1 + exp(-A u)) - 1
        return c * end + (1 - c) * start
