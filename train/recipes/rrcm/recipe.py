"""What a recipe of rRCM says: the data, and for each stage every number that decides its weights."""

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from purecert.train.augmentation.moco import MocoViews
from purecert.train.fitting.data import Augmentation
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.rates import Cosine
from purecert.train.networks.rrcm.vit import RrcmVitConfig
from purecert.train.recipes.paper.recipe import Data
from purecert.train.schedules.noise_levels import NoiseRange

STILL = Augmentation(shift=0.0, turn=0.0, stretch=0.0)  # images as they are


@dataclass(frozen=True, kw_only=True, slots=True)
class Pretraining:
    """Contrastive denoising, which needs no labels."""

    fit: Fit
    batch: int  # of all processes together
    views: MocoViews = field(default_factory=MocoViews)
    first: int = 20  # intervals of the time grid at the first step, and
    last: int = 80  # at the end
    slowest: float = 0.9999  # decay of the target at the end
    sharpness: float = 15.0  # of its sigmoid
    starts_as_moco: bool = False  # Glorot's weights, and patches that pre-training leaves as they are


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A linear head on the frozen network, from images without noise."""

    fit: Fit
    batch: int
    augmentation: Augmentation = STILL


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuning:
    """A classifier at one sigma; its weights are those of the best measured on images that were held out."""

    fit: Fit
    batch: int
    sigma: float
    weight: float  # lambda
    entropy_weight: float = 0.5  # eta
    copies: int = 2  # m
    measured_every: int = 50  # steps
    from_pretraining: bool = True  # False: from new weights, at whatever budget its steps make
    trains_head: bool = True  # False: the probe's stays, as in the official code
    augmentation: Augmentation = STILL

    def __post_init__(self) -> None:
        if self.fit.average.decay(10**9):
            raise ValueError("a tuning's best weights are measured on the way: its fit has no average")
        if not self.trains_head and not self.from_pretraining:
            raise ValueError("a head that is not trained comes from a probe of the pre-trained network")


Part: TypeAlias = Probe | Tuning


@dataclass(frozen=True, kw_only=True, slots=True)
class RrcmRecipe:
    """One data set's whole path."""

    name: str
    data: Data  # its augmentation is not used: each part has its own
    network: RrcmVitConfig
    pretraining: Pretraining
    probe: Probe
    tunings: tuple[Tuning, ...]
    normalises: bool = False  # the final norm stands before the head: on ImageNet it does, on CIFAR-10 it does not
    levels: NoiseRange = field(default_factory=NoiseRange)
    held_out: int = 1000  # labelled images that choose the best weights, and are trained on without labels at most
    labels: int | None = None  # images whose labels are used, chosen by the seed; None: all
    seed: int = 0

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names) or "pretraining" in names or self.pretraining.fit.stage != "pretraining":
            raise ValueError(f"expected names that differ, and pretraining for the first stage, got {names}")
        if any(part.fit.layer_decay != 1 for part in self.tunings if not part.from_pretraining):
            raise ValueError("layers of a network that was not pre-trained learn at one rate")

    @property
    def parts(self) -> dict[str, Part]:
        """What leaves a classifier, by name: the probe, then the tunings."""
        return {part.fit.stage: part for part in self._all}

    @property
    def _all(self) -> tuple[Part, ...]:
        return (self.probe, *self.tunings)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what leaves a classifier."""
        return tuple(part.fit.stage for part in self._all)

    @property
    def stages(self) -> tuple[str, ...]:
        """Those of them that stand on the pre-training: the path, without what it is compared with."""
        return tuple(name for name in self.names if "pretraining" in self.needs(name))

    def needs(self, name: str) -> tuple[str, ...]:
        """Return the stages whose weights decide this one's, itself last."""
        part = self.parts[name]
        if isinstance(part, Probe):
            return ("pretraining", name)
        return ("pretraining", self.probe.fit.stage, name) if part.from_pretraining else (name,)

    def scaled(self, factor: float) -> "RrcmRecipe":
        """Return the recipe with ``factor`` times the steps, for a trial run."""
        pretraining = replace(self.pretraining, fit=self.pretraining.fit.scaled(factor))
        probe = replace(self.probe, fit=self.probe.fit.scaled(factor))
        tunings = tuple(replace(part, fit=part.fit.scaled(factor)) for part in self.tunings)
        return replace(self, pretraining=pretraining, probe=probe, tunings=tunings)


def stage_name(kind: str, sigma: float) -> str:
    """Return the name of a stage at one sigma: ``tuning-25`` for .25."""
    return f"{kind}-{round(100 * sigma)}"


def small_fit(stage: str, steps: int, learning_rate: float, layer_decay: float = 1.0) -> Fit:
    """Return the numbers of a stage of a small network: a warm-up of a tenth of its steps, and gradients clipped."""
    return Fit(
        stage=stage,
        steps=steps,
        learning_rate=learning_rate,
        schedule=Cosine(warm_up=max(1, steps // 10)),
        clip=2.0,
        layer_decay=layer_decay,
    )
