"""What a plan may lose against eager FP32, by precision: one table for the gate, benchmarks and verification."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from purecert.engine.plans.plan import Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a plan may lose against eager FP32 before the gate refuses it."""

    agreement: float  # least share of draws with the same label
    net_loss: float  # largest mean net loss

    def for_few_draws(self, draws: int) -> "Limits":
        """Return limits three standard deviations wider, so that chance alone hardly refuses a plan at these limits.

        A net loss is a mean of values in {-1, 0, 1} that differ from 0 no more often than labels disagree.
        """
        chance = 3 * math.sqrt((1 - self.agreement) / draws)
        return Limits(agreement=self.agreement - chance, net_loss=self.net_loss + chance)


LIMITS: Mapping[Precision, Limits] = {
    "fp32": Limits(agreement=0.999, net_loss=5e-4),
    "fp16": Limits(agreement=0.995, net_loss=1e-3),
    "bf16": Limits(agreement=0.98, net_loss=5e-3),
    "int8": Limits(agreement=0.97, net_loss=5e-3),
}
