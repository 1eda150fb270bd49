"""Recipes: what is trained on what, with every number that decides the result."""

from dataclasses import dataclass, field, replace

import torch
from torch import nn

from purecert.train.fitting.data import Augmentation, Images, Sampler, load_images
from purecert.train.fitting.keeping.configuration import plain
from purecert.train.fitting.loop import Fitting, fit
from purecert.train.fitting.plans.averages import HalfLife
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.optimizers import AdamW
from purecert.train.fitting.session import Session
from purecert.train.models.checkpoints import Model
from purecert.train.models.preprocessing import Preprocessing, PreprocessingConfig
from purecert.train.networks.resnet import ResNet, ResNetConfig
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from purecert.train.objectives.consistency import ConsistencyObjective
from purecert.train.objectives.purified_classifier import PurifiedClassifierObjective
from purecert.train.objectives.sigmas import DiscreteSigmas
from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.consistency import ConsistencyPurifier
from purecert.train.purifiers.karras import KarrasConfig
from purecert.train.schedules.noise_levels import Curriculum, LognormalTimes, NoiseRange


@dataclass(frozen=True, kw_only=True, slots=True)
class DigitsRecipe:
    """The demo: consistency training of a small SongUNet on 8x8 digits, then a classifier of what it purifies."""

    seed: int = 0
    batch: int = 256
    augmentation: Augmentation = field(default_factory=Augmentation)
    network: SongUNetConfig = field(
        default_factory=lambda: SongUNetConfig(
            img_resolution=8,
            in_channels=1,
            out_channels=1,
            model_channels=16,
            channel_mult=(1,),
            num_blocks=1,
            attn_resolutions=(),
            dropout=0.0,
            bottom_attention=False,
            patch_size=2,
        )
    )
    # sigma <= 1 is t <= 2; the rest of a usual range, up to 80, would take most of a small network's capacity.
    consistency: KarrasConfig = field(
        default_factory=lambda: KarrasConfig(sigma_data=0.75, levels=NoiseRange(t_max=4.0))
    )
    times: LognormalTimes = field(default_factory=lambda: LognormalTimes(mean=-0.3, std=1.0))
    grid_first: int = 10
    grid_last: int = 160
    purifier_fit: Fit = field(
        default_factory=lambda: Fit(stage="purifier", steps=4000, learning_rate=3e-3, average=HalfLife(steps=300.0))
    )
    classifier: ResNetConfig = field(
        # Projections run almost twice as fast in ONNX Runtime as the slices and pads of the parameter-free shortcut.
        default_factory=lambda: ResNetConfig(
            classes=10, in_channels=1, blocks=(1, 1, 1), widths=(8, 16, 32), shortcut="projection", head="fc"
        )
    )
    preprocessing: PreprocessingConfig = field(
        default_factory=lambda: PreprocessingConfig(mean=(0.305,), std=(0.376,))  # of digits:train
    )
    sigmas: tuple[float, ...] = (0.12, 0.25, 0.5, 1.0)  # pixel noise the classifier sees purified, beside clean images
    classifier_fit: Fit = field(
        default_factory=lambda: Fit(
            stage="classifier", steps=2000, learning_rate=1e-2, optimizer=AdamW(weight_decay=1e-2)
        )
    )
    label_smoothing: float = 0.0

    def scaled(self, factor: float) -> "DigitsRecipe":
        """Return the recipe with ``factor`` times the steps, for a trial run."""
        return replace(
            self, purifier_fit=self.purifier_fit.scaled(factor), classifier_fit=self.classifier_fit.scaled(factor)
        )


def train_digits(recipe: DigitsRecipe, session: Session) -> Model:
    """Return the demo model, trained on digits:train.

    It has the same bits for the same seed and numbers of threads and processes on one machine, interrupted or not.
    """
    return train_on(load_images("digits:train"), recipe, session)


def train_on(images: Images, recipe: DigitsRecipe, session: Session, fitting: Fitting = fit) -> Model:
    """Return the recipe's model trained on these images, by the loop or by what measures in its place."""
    session = replace(session, configuration=plain(recipe))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network, classifier = SongUNet(recipe.network), ResNet(recipe.classifier)
    network, classifier = network.to(session.device), classifier.to(session.device)
    sampler = Sampler(images=images, batch=recipe.batch, augmentation=recipe.augmentation, seed=recipe.seed)
    _fit_purifier(network, recipe, sampler, session, fitting)
    purifier = ConsistencyPurifier(recipe.consistency, network).eval().requires_grad_(False)
    preprocessing = Preprocessing(recipe.preprocessing).to(session.device).eval()
    objective = PurifiedClassifierObjective(
        classifier=classifier,
        preprocessing=preprocessing,
        purifier=purifier,
        sigmas=DiscreteSigmas(values=recipe.sigmas),
        clean_share=1 / (len(recipe.sigmas) + 1),
        label_smoothing=recipe.label_smoothing,
    )
    fitting(classifier, objective, recipe.classifier_fit, sampler, session)
    return _assemble(purifier, classifier.requires_grad_(False), preprocessing, images, recipe)


def _fit_purifier(
    network: SongUNet, recipe: DigitsRecipe, sampler: Sampler, session: Session, fitting: Fitting
) -> None:
    plan = recipe.purifier_fit
    objective = ConsistencyObjective(
        network=network,
        config=recipe.consistency,
        times=recipe.times,
        curriculum=Curriculum(first=recipe.grid_first, last=recipe.grid_last, steps=plan.steps),
    )
    fitting(network, objective, plan, sampler, session)


def _assemble(
    purifier: Purifier, classifier: nn.Module, preprocessing: nn.Module, images: Images, recipe: DigitsRecipe
) -> Model:
    channels, height, width = images.pixels.shape[1:]
    return Model(
        purifier=purifier,
        classifier=classifier,
        preprocessing=preprocessing,
        input_shape=(channels, height, width),
        classes=images.classes,
        class_names=images.class_names,
        data="digits:train",
        sources=(
            f"engine-train digits --seed {recipe.seed}: {recipe.purifier_fit.steps} + {recipe.classifier_fit.steps} "
            "steps on digits:train (UCI optdigits, CC BY 4.0)",
        ),
        licence="Apache-2.0, the purecert authors; made from UCI optdigits (CC BY 4.0)",
    )
