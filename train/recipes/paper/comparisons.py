"""What the paper's tables set beside its path, with every number that decides a weight."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from purecert.train.fitting.plans.fit import Fit
from purecert.train.networks.resnet import ResNetConfig
from purecert.train.networks.wide_resnet import WideResNetConfig
from purecert.train.objectives.sigmas import DiscreteSigmas, UniformSigmas

ComparedDistance = Literal["l1", "l2", "lpips"]
TunedPurifier: TypeAlias = Literal["distillation", "fine-tuning"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedOn:
    """The EDM teacher trained on by its own loss: what else the compute of the whole path could buy."""

    fit: Fit
    mean: float  # of ln t
    std: float


@dataclass(frozen=True, kw_only=True, slots=True)
class NoisyClassifier:
    """A classifier of noisy images at one sigma, without a purifier."""

    fit: Fit
    network: ResNetConfig | WideResNetConfig
    sigma: float  # of training and of the certificate, in [0, 1] pixel units
    weight: float = 0.0  # lambda of consistency regularisation; 0: plain cross entropy (Cohen et al. 2019)
    entropy_weight: float = 0.5  # eta
    copies: int = 2  # m


@dataclass(frozen=True, kw_only=True, slots=True)
class TunedClassifier:
    """The second classifier trained on what a purifier of the path makes of noisy images (Li et al. 2024, table 7)."""

    fit: Fit
    purifier: TunedPurifier
    sigmas: DiscreteSigmas | UniformSigmas


@dataclass(frozen=True, kw_only=True, slots=True)
class OdeSolver:
    """The teacher's probability-flow ODE in place of one step; nothing is trained."""

    grid_points: int = 18


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherTuning:
    """Another fine-tuning: what differs from the recipe's own."""

    fit: Fit
    distance: ComparedDistance | None = None  # None: the recipe's
    sigmas: UniformSigmas | None = None  # None: the recipe's
    of_teacher: bool = False  # of the EDM teacher in place of the consistency model, which the paper does not try


Compared: TypeAlias = TrainedOn | NoisyClassifier | TunedClassifier | OdeSolver | OtherTuning


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One of them under the name that ``--stage`` knows."""

    name: str
    part: Compared

    def scaled(self, factor: float) -> "Comparison":
        """Return it with ``factor`` times the steps, where there are any."""
        if isinstance(self.part, OdeSolver):
            return self
        return replace(self, part=replace(self.part, fit=self.part.fit.scaled(factor)))

    def __post_init__(self) -> None:
        stage = self.name if isinstance(self.part, OdeSolver) else self.part.fit.stage
        if stage != self.name:  # it names the folder
            raise ValueError(f"a comparison's plan must have its name, got {stage} in {self.name}")


def noisy_name(sigma: float, *, is_regularised: bool) -> str:
    """Return the name of a noise-trained classifier: ``noisy-25`` for sigma .25."""
    return f"{'regularised' if is_regularised else 'noisy'}-{round(100 * sigma)}"
