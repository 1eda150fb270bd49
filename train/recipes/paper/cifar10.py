"""CIFAR-10: small on two cores, planned for an hour; and as the papers have it, on one large GPU. Neither was run."""

from purecert.train.distances.lpips import LpipsConfig
from purecert.train.fitting.plans.averages import HalfLife
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.optimizers import AdamW, Sgd
from purecert.train.fitting.plans.rates import Constant
from purecert.train.models.preprocessing import PreprocessingConfig
from purecert.train.networks.resnet import ResNetConfig
from purecert.train.networks.song.presets import CONSISTENCY_CIFAR10
from purecert.train.networks.song.unet import SongUNetConfig
from purecert.train.networks.wide_resnet import WideResNetConfig
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
from purecert.train.recipes.paper.server import AVERAGE, consistency_fit
from purecert.train.schedules.noise_levels import NoiseRange

_DATA = Data(
    train="cifar10:train",
    shape=(3, 32, 32),
    classes=10,
    licence="CIFAR-10 (no licence stated)",
    augmentation=MIRRORED,
)
_PREPROCESSING = PreprocessingConfig(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616))  # of cifar10:train
_SIGMAS = DiscreteSigmas(values=(0.25, 0.5, 1.0))
_DECAYED = AdamW(weight_decay=1e-2)

CIFAR10_SMALL = PaperRecipe(
    name="cifar10-small",
    data=_DATA,
    batch=128,
    network=SongUNetConfig(
        img_resolution=32,
        in_channels=3,
        out_channels=3,
        model_channels=32,
        channel_mult=(1, 2, 2),
        num_blocks=1,
        attn_resolutions=(),
        dropout=0.0,
        bottom_attention=False,
        patch_size=2,
    ),
    karras=KarrasConfig(sigma_data=0.5, levels=NoiseRange(t_max=5.0)),
    preprocessing=_PREPROCESSING,
    classifier=Classifier(
        fit=Fit(stage="classifier", steps=5000, learning_rate=4e-3, optimizer=_DECAYED),
        network=ResNetConfig(classes=10, blocks=(1, 1, 1), widths=(28, 56, 112), shortcut="projection", head="fc"),
    ),
    second_classifier=Classifier(
        fit=Fit(stage="second-classifier", steps=5000, learning_rate=4e-3, optimizer=_DECAYED),
        network=ResNetConfig(classes=10, blocks=(2, 2, 2), widths=(18, 36, 72), shortcut="projection", head="fc"),
    ),
    teacher=Teacher(
        fit=Fit(stage="teacher", steps=7000, learning_rate=2e-3, average=HalfLife(steps=500), clip=1.0),
        mean=-0.5,
        std=1.0,
    ),
    distillation=Distillation(
        fit=Fit(stage="distillation", steps=3000, learning_rate=5e-4, average=HalfLife(steps=200), clip=1.0)
    ),
    fine_tuning=FineTuning(
        fit=Fit(stage="fine-tuning", steps=1200, learning_rate=3e-4, average=HalfLife(steps=100), clip=1.0),
        distance="features",
        sigmas=_SIGMAS,
    ),
    lpips=LpipsConfig(network="squeeze", size=64),
)

# Karras et al. 2022, table 7; Song et al. 2023, app. C; Li et al. 2024 (batch 64 there, 512 here for all stages).
CIFAR10 = PaperRecipe(
    name="cifar10",
    data=_DATA,
    batch=512,
    network=CONSISTENCY_CIFAR10,
    karras=KarrasConfig(sigma_data=0.5, time_rule="nearest-2sigma"),
    preprocessing=_PREPROCESSING,
    classifier=Classifier(
        fit=Fit(stage="classifier", steps=20_000, learning_rate=0.1, optimizer=Sgd(nesterov=True, weight_decay=5e-4)),
        network=WideResNetConfig(depth=28, widen_factor=10, layout="block", classes=10),
    ),
    second_classifier=Classifier(
        fit=Fit(
            stage="second-classifier", steps=20_000, learning_rate=0.1, optimizer=Sgd(nesterov=True, weight_decay=5e-4)
        ),
        network=ResNetConfig(classes=10, blocks=(9, 9, 9)),
    ),
    teacher=Teacher(
        fit=Fit(
            stage="teacher",
            steps=400_000,
            learning_rate=1e-3,
            schedule=Constant(warm_up=20_000),
            average=AVERAGE,
            precision="bf16",
        )
    ),
    distillation=Distillation(
        fit=consistency_fit("distillation", 800_000, 4e-4),
        distance="lpips",
    ),
    fine_tuning=FineTuning(
        fit=consistency_fit("fine-tuning", 30_000, 1e-4),
        distance="lpips",
        sigmas=_SIGMAS,
    ),
    lpips=LpipsConfig(network="vgg", size=224),
)
