"""The rows of the tables: which stage of a recipe, or which comparison, stands in each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SIGMAS = (0.25, 0.5, 1.0)
RADII = (0.0, 0.25, 0.5, 0.75, 1.0)
SLOW_IMAGES = 1000  # where the purifier takes many steps
FIRST = "one-step EDM"  # what every row of the first table is compared with
EQUAL_COMPUTE = "one-step EDM, trained on"  # with the FLOPs of the whole path
PRETRAINED = "rRCM, pre-trained"
SCRATCH = "rRCM's network from scratch"  # with the passes of pre-training and probe besides its own


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row."""

    name: str
    stages: Mapping[float, str]  # for each sigma, what --stage calls it
    recipe: Literal["paper", "rrcm"] = "paper"
    is_slow: bool = False  # fewer images, and no certificates
    one_seed: bool = False  # the first one alone
    certifies_all: bool = False  # certificates of every seed, else of the first alone
    cost: float | None = None  # draws of a certificate that take so many times the FLOPs of PRETRAINED's; None: n


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """One table."""

    recipe: str
    rows: tuple[Row, ...]
    measures_distance: bool  # whether the L2 and Frechet columns compare: all in one classifier's features
    compared: Mapping[str, str]  # name of a column of differences -> the row that they are to; the first is shown


def _row(name: str, stage: str, *, is_slow: bool = False) -> Row:
    return Row(name=name, stages=dict.fromkeys(SIGMAS, stage), is_slow=is_slow)


def _by_sigma(name: str, prefix: str, recipe: Literal["paper", "rrcm"] = "paper", *, one_seed: bool = False) -> Row:
    stages = {sigma: f"{prefix}-{round(100 * sigma)}" for sigma in SIGMAS}
    return Row(name=name, stages=stages, recipe=recipe, one_seed=one_seed, certifies_all=recipe == "rrcm")


def _at_cost(name: str, stage: str, cost: float) -> Row:
    return Row(name=name, stages=dict.fromkeys(SIGMAS, stage), one_seed=True, cost=cost)


PAPER_ROWS = (
    _row("no purifier", "second-classifier"),
    _row(FIRST, "teacher"),
    _row("consistency model", "distillation"),
    _row("consistency, fine-tuned: features", "fine-tuning"),
    _row(EQUAL_COMPUTE, "teacher-on"),
    _row("one-step EDM, fine-tuned: features", "teacher-fine-tuning"),
    _row("PF-ODE of EDM", "ode", is_slow=True),
    _row("consistency, fine-tuned: l1", "fine-tuning-l1"),
    _row("consistency, fine-tuned: l2", "fine-tuning-l2"),
    _row("consistency, fine-tuned: LPIPS", "fine-tuning-lpips"),
    _row("consistency, fine-tuned: features, sigma uniform", "fine-tuning-uniform"),
    _row("consistency, classifier fine-tuned", "classifier-tuning"),
    _row("consistency and classifier fine-tuned", "classifier-tuning-both"),
    _by_sigma("noise-trained CNN", "noisy"),
    _by_sigma("noise-trained CNN, consistency regularisation", "regularised"),
)

PAPER = Contents(
    recipe="fashion-mnist",
    rows=PAPER_ROWS,
    measures_distance=True,
    compared={"over_one_step": FIRST, "over_equal_compute": EQUAL_COMPUTE},
)
RRCM = Contents(
    recipe="rrcm-fashion-mnist",
    rows=(
        _by_sigma(PRETRAINED, "tuning", "rrcm"),
        _by_sigma(SCRATCH, "scratch", "rrcm"),
        _by_sigma("noise-trained CNN", "noisy", one_seed=True),
        _by_sigma("noise-trained CNN, consistency regularisation", "regularised", one_seed=True),
        _at_cost("consistency, fine-tuned: features, equal cost", "fine-tuning", 1.0),
        _at_cost("consistency, fine-tuned: features, tenfold cost", "fine-tuning", 10.0),
    ),
    measures_distance=False,
    compared={"over_scratch": SCRATCH},
)
