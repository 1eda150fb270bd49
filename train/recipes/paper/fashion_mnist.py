"""Fashion-MNIST on two cores, planned for at most 25 idle minutes.

In FP32: bf16 is faster where the processor has it, and many times slower where it is emulated.
"""

from dataclasses import replace

from purecert.train.distances.lpips import LpipsConfig
from purecert.train.fitting.plans.averages import HalfLife
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.optimizers import AdamW
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

_FEATURES = ResNetConfig(
    classes=10, in_channels=1, blocks=(1, 1, 1), widths=(28, 56, 112), shortcut="projection", head="fc"
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
    classifier=Classifier(
        fit=Fit(stage="classifier", steps=2200, learning_rate=4e-3, optimizer=AdamW(weight_decay=1e-2)),
        network=_FEATURES,
    ),
    second_classifier=Classifier(  # another depth and width, another start
        fit=Fit(stage="second-classifier", steps=2200, learning_rate=4e-3, optimizer=AdamW(weight_decay=1e-2)),
        network=replace(_FEATURES, blocks=(2, 2, 2), widths=(18, 36, 72)),
    ),
    teacher=Teacher(
        fit=Fit(stage="teacher", steps=3600, learning_rate=2e-3, average=HalfLife(steps=500), clip=1.0),
        mean=-0.5,  # most draws at t in [.2, 2], where sigma in [.1, 1] is
        std=1.0,
    ),
    distillation=Distillation(
        fit=Fit(stage="distillation", steps=1400, learning_rate=5e-4, average=HalfLife(steps=200), clip=1.0),
    ),
    fine_tuning=FineTuning(
        fit=Fit(stage="fine-tuning", steps=600, learning_rate=3e-4, average=HalfLife(steps=100), clip=1.0),
        distance="features",
        sigmas=DiscreteSigmas(values=(0.25, 0.5, 1.0)),
    ),
    lpips=LpipsConfig(network="squeeze", size=64),
)
