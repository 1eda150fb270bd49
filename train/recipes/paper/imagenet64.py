"""ImageNet at 64 pixels on a server: written down, never run; its shapes are tested at reduced width.

It begins at an imported class-conditional consistency model whose classes became one learned vector: the transition to
an unconditional one, 120,000 steps in Li et al. 2024, who do not say by which loss; consistency training here.
"""

from dataclasses import replace

from purecert.train.distances.lpips import LpipsConfig
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.optimizers import Sgd
from purecert.train.models.preprocessing import PreprocessingConfig
from purecert.train.networks.adm.presets import CONSISTENCY_IMAGENET64_UNCONDITIONAL
from purecert.train.networks.resnet import ResNetConfig
from purecert.train.networks.wide_resnet import WideResNetConfig
from purecert.train.objectives.sigmas import DiscreteSigmas
from purecert.train.purifiers.karras import KarrasConfig
from purecert.train.recipes.paper.recipe import MIRRORED, Classifier, Data, FineTuning, PaperRecipe, Transition
from purecert.train.recipes.paper.server import consistency_fit

_DECAYED = Sgd(nesterov=True, weight_decay=1e-4)

IMAGENET64 = PaperRecipe(
    name="imagenet64",
    data=Data(
        train="folder:imagenet64/train",
        shape=(3, 64, 64),
        classes=1000,
        licence="ImageNet (research use)",
        augmentation=MIRRORED,
    ),
    batch=256,
    network=replace(CONSISTENCY_IMAGENET64_UNCONDITIONAL, class_token=True),
    karras=KarrasConfig(sigma_data=0.5, time_rule="nearest-2sigma", grid_points=40, label_scale=1000.0),
    preprocessing=PreprocessingConfig(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    classifier=Classifier(
        fit=Fit(stage="classifier", steps=200_000, learning_rate=0.1, optimizer=_DECAYED),
        network=WideResNetConfig(depth=28, widen_factor=10, layout="block", classes=1000),
    ),
    second_classifier=Classifier(
        fit=Fit(stage="second-classifier", steps=200_000, learning_rate=0.1, optimizer=_DECAYED),
        network=ResNetConfig(classes=1000, blocks=(4, 4, 4, 4), widths=(64, 128, 256, 512), shortcut="projection"),
    ),
    teacher=None,
    transition=Transition(fit=consistency_fit("transition", 120_000, 1e-4)),
    distillation=None,
    fine_tuning=FineTuning(
        fit=consistency_fit("fine-tuning", 30_000, 1e-4),
        distance="lpips",
        sigmas=DiscreteSigmas(values=(0.05, 0.15, 0.25)),
        start="transition",
    ),
    lpips=LpipsConfig(network="vgg", size=224),
)
