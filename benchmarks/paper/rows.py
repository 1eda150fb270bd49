"""The rows of the table: which stage of the recipe, or which comparison, stands in each."""

from collections.abc import Mapping
from dataclasses import dataclass

SIGMAS = (0.25, 0.5, 1.0)
RADII = (0.0, 0.25, 0.5, 0.75, 1.0)
SLOW_IMAGES = 1000  # where the purifier takes many steps
FIRST = "one-step EDM"  # what every row is compared with
EQUAL_COMPUTE = "one-step EDM, trained on"  # with the FLOPs of the whole path


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row."""

    name: str
    stages: Mapping[float, str]  # for each sigma, what --stage calls it
    is_slow: bool = False  # fewer images, and no certificates


def _row(name: str, stage: str, *, is_slow: bool = False) -> Row:
    return Row(name=name, stages=dict.fromkeys(SIGMAS, stage), is_slow=is_slow)


def _by_sigma(name: str, prefix: str) -> Row:
    return Row(name=name, stages={sigma: f"{prefix}-{round(100 * sigma)}" for sigma in SIGMAS})


ROWS = (
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
