"""Fashion-MNIST on two cores, cut to fit 25 idle minutes.

In FP32: bf16 is faster where the processor has it, and many times slower where it is emulated.
"""

from dataclasses import replace

from purecert.train.distances.lpips import LpipsConfig
from purecert.train.fitting.plans.averages import HalfLife
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.optimizers import AdamW
from purecert.train.fitting.plans.rates import Cosine
from purecert.train.models.preprocessing import PreprocessingConfig
from purecert.train.networks.resnet import ResNetConfig
from purecert.train.networks.song.unet import SongUNetConfig
from purecert.train.objectives.sigmas import DiscreteSigmas
from purecert.train.purifiers.karras import KarrasConfig
from purecert.train.recipes.paper.recipe import (
    MIRRORED,
    Classifier,
    Data,
    Distillation,
    FineTuning,
    PaperRecipe,
    Teacher,
)
from purecert.train.schedules.noise_levels import NoiseRange


def classifier_fit(stage: str, steps: int, learning_rate: float = 4e-3, warm_up: int = 100) -> Fit:
    """Return how a classifier is fitted here."""
    return Fit(
        stage=stage,
        steps=steps,
        learning_rate=learning_rate,
        optimizer=AdamW(weight_decay=1e-2),
        schedule=Cosine(warm_up=warm_up),
        report_every=50,
        save_every=50,
    )


def purifier_fit(stage: str, steps: int, learning_rate: float, half_life: float, warm_up: int) -> Fit:
    """Return how a purifier is fitted here."""
    return Fit(
        stage=stage,
        steps=steps,
        learning_rate=learning_rate,
        schedule=Cosine(warm_up=warm_up),
        average=HalfLife(steps=half_life),
        clip=1.0,
        report_every=50,
        save_every=50,
    )


_FEATURES = ResNetConfig(
    classes=10, in_channels=1, blocks=(1, 1, 1), widths=(16, 40, 96), shortcut="projection", head="fc"
)

FASHION_MNIST = PaperRecipe(
    name="fashion-mnist",
    data=Data(
        train="fashion_mnist:train",
        shape=(1, 28, 28),
        classes=10,
        licence="Fashion-MNIST (MIT, Zalando SE)",
        augmentation=MIRRORED,
    ),
    batch=128,
    network=SongUNetConfig(
        img_resolution=28,
        in_channels=1,
        out_channels=1,
        model_channels=32,
        channel_mult=(1, 2),
        num_blocks=1,
        attn_resolutions=(),
        dropout=0.0,
        bottom_attention=False,
        patch_size=2,
    ),
    karras=KarrasConfig(sigma_data=0.7, levels=NoiseRange(t_max=5.0)),  # .706, the std of the data on [-1, 1]
    preprocessing=PreprocessingConfig(mean=(0.286,), std=(0.353,)),  # of fashion_mnist:train
    classifier=Classifier(fit=classifier_fit("classifier", 1000), network=_FEATURES),
    second_classifier=Classifier(  # another depth and width, another start
        fit=classifier_fit("second-classifier", 1000),
        network=replace(_FEATURES, blocks=(1, 2, 2), widths=(16, 32, 64)),
    ),
    teacher=Teacher(
        fit=purifier_fit("teacher", 900, 2e-3, half_life=100, warm_up=100),
        mean=-0.5,  # most draws at t in [.2, 2], where sigma in [.1, 1] is
        std=1.0,
    ),
    distillation=Distillation(fit=purifier_fit("distillation", 300, 5e-4, half_life=40, warm_up=30)),
    fine_tuning=FineTuning(
        fit=purifier_fit("fine-tuning", 150, 3e-4, half_life=20, warm_up=15),
        distance="features",
        sigmas=DiscreteSigmas(values=(0.25, 0.5, 1.0)),
    ),
    lpips=LpipsConfig(network="squeeze", size=64),
)
