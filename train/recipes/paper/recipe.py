"""What a recipe of the paper says: the data, and for each stage every number that decides its weights."""

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from purecert.engine.errors import InputError
from purecert.train.distances.lpips import LpipsConfig
from purecert.train.fitting.data import Augmentation, Images
from purecert.train.fitting.plans.fit import Fit
from purecert.train.models.preprocessing import PreprocessingConfig
from purecert.train.networks.adm.unet import AdmUNetConfig
from purecert.train.networks.resnet import ResNetConfig
from purecert.train.networks.song.unet import SongUNetConfig
from purecert.train.networks.wide_resnet import WideResNetConfig
from purecert.train.objectives.sigmas import DiscreteSigmas, UniformSigmas
from purecert.train.purifiers.karras import KarrasConfig
from purecert.train.recipes.paper.comparisons import Comparison

MIRRORED = Augmentation(shift=0.0, turn=0.0, stretch=0.0, mirror=True)  # and not moved otherwise

StageName = Literal["classifier", "second-classifier", "teacher", "transition", "distillation", "fine-tuning"]
DistanceName = Literal["l1", "l2", "huber", "lpips", "features"]
PurifierStage: TypeAlias = Literal["teacher", "transition", "distillation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """Images, and what is said of them in a model file."""

    train: str  # as --data names them
    shape: tuple[int, int, int]  # channels, height, width
    classes: int
    licence: str
    augmentation: Augmentation = field(default_factory=Augmentation)

    def check(self, images: Images, recipe: str) -> None:
        """Refuse images that are not of this shape and number of classes; ``recipe`` names what expects them.

        Raises:
            InputError: They are not.
        """
        shape, classes = tuple(images.pixels.shape[1:]), images.classes
        if (shape, classes) != (self.shape, self.classes):
            raise InputError(
                f"{recipe} expects images {self.shape} of {self.classes} classes, found {shape} of {classes}; "
                "choose another recipe or --data"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Teacher:
    """EDM denoising score matching."""

    fit: Fit
    mean: float = -1.2  # of ln t
    std: float = 1.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Transition:
    """Consistency training of a network that has one learned vector where its start had classes (Li et al. 2024)."""

    fit: Fit
    points: int = 40  # of the grid
    mean: float = -1.1  # of ln t
    std: float = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Distillation:
    """Consistency distillation of the teacher."""

    fit: Fit
    points: int = 18
    decay: float = 0.95
    distance: DistanceName = "huber"


@dataclass(frozen=True, kw_only=True, slots=True)
class FineTuning:
    """Consistency fine-tuning, of a consistency model, or of the teacher as an EDM denoiser."""

    fit: Fit
    distance: DistanceName
    sigmas: DiscreteSigmas | UniformSigmas
    start: PurifierStage = "distillation"
    layers: tuple[str, ...] = ("layer1", "layer2", "layer3")  # of the first classifier, for ``features``


@dataclass(frozen=True, kw_only=True, slots=True)
class Classifier:
    """A classifier of clean images."""

    fit: Fit
    network: ResNetConfig | WideResNetConfig
    label_smoothing: float = 0.0


Part: TypeAlias = Teacher | Transition | Distillation | FineTuning | Classifier


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperRecipe:
    """One data set's whole path; ``stages`` gives the order."""

    name: str
    data: Data
    batch: int  # of all processes together
    network: SongUNetConfig | AdmUNetConfig  # of teacher and consistency model
    karras: KarrasConfig
    preprocessing: PreprocessingConfig
    classifier: Classifier  # whose features a fine-tuning may look at
    second_classifier: Classifier  # the judge: it stands after every purifier
    teacher: Teacher | None
    transition: Transition | None = None  # in place of teacher and distillation, from a given network
    distillation: Distillation | None
    fine_tuning: FineTuning
    lpips: LpipsConfig = field(default_factory=LpipsConfig)
    comparisons: tuple[Comparison, ...] = ()  # what the tables set beside the path
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.transition is None) == (self.teacher is None) or (self.teacher is None) != (self.distillation is None):
            raise ValueError("a recipe has a teacher and its distillation, or a transition")
        if self.fine_tuning.start not in self.stages:
            raise ValueError(f"fine-tuning starts from {self.fine_tuning.start}, which the recipe lacks")

    @property
    def parts(self) -> dict[StageName, Part]:
        """The stages in their order, each with its numbers."""
        found: dict[StageName, Part | None] = {
            "classifier": self.classifier,
            "second-classifier": self.second_classifier,
            "teacher": self.teacher,
            "transition": self.transition,
            "distillation": self.distillation,
            "fine-tuning": self.fine_tuning,
        }
        return {name: part for name, part in found.items() if part is not None}

    @property
    def stages(self) -> tuple[StageName, ...]:
        """The names of the stages in their order."""
        return tuple(self.parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the stages and of what they are compared with."""
        return (*self.stages, *(comparison.name for comparison in self.comparisons))

    def needs(self, stage: StageName) -> tuple[StageName, ...]:
        """Return the stages whose weights decide this one's, itself last."""
        before: tuple[StageName, ...] = ()
        if stage == "distillation":
            before = ("teacher",)
        elif stage == "fine-tuning":
            looks = ("classifier",) if self.fine_tuning.distance == "features" else ()
            before = (*looks, *self.needs(self.fine_tuning.start))
        return (*before, stage)

    def distances(self, stage: StageName) -> set[DistanceName]:
        """Return the distances that decide the stage's weights."""
        parts = (self.parts[name] for name in self.needs(stage))
        return {part.distance for part in parts if isinstance(part, Distillation | FineTuning)}

    def scaled(self, factor: float) -> "PaperRecipe":
        """Return the recipe with ``factor`` times the steps, for a trial run."""
        parts = {
            name.replace("-", "_"): replace(part, fit=part.fit.scaled(factor)) for name, part in self.parts.items()
        }
        others = tuple(each.scaled(factor) for each in self.comparisons)
        return replace(self, comparisons=others, **parts)  # type: ignore[arg-type]  # the names of the stages are those of the fields
