"""The discrete noise schedules of DDPMs, and the rules that turn a pixel noise level into one of their times."""

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from purecert.engine.errors import InputError

BetaSchedule = Literal["linear", "cosine"]
DiffusionRule = Literal["first-above", "closed-form"]

_COSINE_OFFSET = 0.008  # Nichol and Dhariwal 2021, eq. 17
_MAX_BETA = 0.999


@lru_cache(maxsize=8)
def alphas_cumprod(schedule: BetaSchedule, steps: int) -> NDArray[np.float64]:
    """Return abar[t] for t = 0 .. steps - 1, the product of the first t + 1 factors 1 - beta.

    ``linear`` runs from 1e-4 to .02 at 1,000 steps (Ho et al. 2020) and is scaled to others; ``cosine`` is
    Nichol and Dhariwal 2021, eq. 17, with beta at most .999.
    """
    if schedule == "linear":
        betas = np.linspace(1e-4, 0.02, steps) * (1000 / steps)
    else:
        f = np.cos((np.arange(steps + 1) / steps + _COSINE_OFFSET) / (1 + _COSINE_OFFSET) * (math.pi / 2)) ** 2
        betas = np.minimum(1 - f[1:] / f[:-1], _MAX_BETA)
    products = np.asarray(np.cumprod(1 - betas))
    products.setflags(write=False)  # every caller gets the same array
    return products


def noise_ratio(schedule: BetaSchedule, steps: int, t: int) -> float:
    """Return sqrt((1 - abar) / abar), the noise level at time ``t`` on the [-1, 1] scale."""
    abar = float(alphas_cumprod(schedule, steps)[t])
    return math.sqrt((1 - abar) / abar)


def choose_step(sigma: float, rule: DiffusionRule, schedule: BetaSchedule, steps: int) -> int:
    """Return the time at which a DDPM denoises pixels with noise of std ``sigma``.

    ``first-above`` is the first t >= 1 whose level sqrt((1 - abar) / abar) is at least 2 sigma (Carlini et al. 2023,
    their code). ``closed-form`` (Xiao et al. 2023, their code) inverts the cosine schedule without its discretisation
    and rounds; it lies 0 or 1 above the other.

    Raises:
        InputError: The noise is outside the schedule, or ``closed-form`` is asked of another than the cosine schedule.
    """
    if not 0 <= sigma < math.inf:
        raise InputError(f"sigma must be a finite number of at least 0 in [0, 1] pixel units, got {sigma}")
    highest = noise_ratio(schedule, steps, steps - 1)
    if 2 * sigma > highest:
        raise InputError(f"sigma {sigma} is more noise than the schedule has; use sigma <= {highest / 2:.6g}")
    if rule == "closed-form":
        return min(round(closed_form_time(sigma, schedule, steps)), steps - 1)
    abar = alphas_cumprod(schedule, steps)
    return 1 + int(np.argmax(np.sqrt((1 - abar[1:]) / abar[1:]) >= 2 * sigma))


def closed_form_time(sigma: float, schedule: BetaSchedule, steps: int) -> float:
    """Return the time of noise ``sigma`` before rounding: t = T (1 - 2.016 asin(sin(pi / 2.016) s) / pi).

    Here s = 1 / sqrt(1 + 4 sigma^2) is the share of the image in its noisy version.

    Raises:
        InputError: The schedule is not the cosine one.
    """
    if schedule != "cosine":
        raise InputError(f"time rule closed-form holds for the cosine schedule, not {schedule}; use first-above")
    double = 2 * (1 + _COSINE_OFFSET)
    return steps * (1 - double * math.asin(math.sin(math.pi / double) / math.hypot(1, 2 * sigma)) / math.pi)
