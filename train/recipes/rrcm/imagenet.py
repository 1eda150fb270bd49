"""rRCM on ImageNet at 224 pixels, the paper's B and S: written down, never run; shapes are tested at reduced width.

Images are mirrored and not changed otherwise in tuning: random crops, RandAugment, mixup, cutmix and smoothed labels
are left out. The probe's numbers are ours.
"""

from purecert.train.fitting.plans.averages import FixedDecay
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.optimizers import AdamW
from purecert.train.fitting.plans.rates import Cosine
from purecert.train.networks.rrcm.presets import RRCM_IMAGENET_B, RRCM_IMAGENET_S
from purecert.train.networks.rrcm.vit import RrcmVitConfig
from purecert.train.recipes.paper.recipe import MIRRORED, Data
from purecert.train.recipes.rrcm.recipe import Pretraining, Probe, RrcmRecipe, Tuning, stage_name

_IMAGES = 1_281_167
_DATA = Data(train="folder:imagenet224/train", shape=(3, 224, 224), classes=1000, licence="ImageNet (research use)")
# sigma, lambda, epochs, batch, rate for 256 images
_SETTINGS = ((0.25, 10.0, 150, 1024, 2e-4), (0.5, 20.0, 50, 2048, 2e-4), (1.0, 20.0, 150, 256, 1e-4))


def _tuning(sigma: float, weight: float, epochs: int, batch: int, rate: float) -> Tuning:
    epoch = _IMAGES / batch
    fit = Fit(
        stage=stage_name("tuning", sigma),
        steps=round(epochs * epoch),
        learning_rate=rate * batch / 256,
        schedule=Cosine(warm_up=round(5 * epoch)),
        layer_decay=0.65,
    )
    return Tuning(
        fit=fit,
        batch=batch,
        sigma=sigma,
        weight=weight,
        measured_every=round(epoch),
        augmentation=MIRRORED,
    )


def _recipe(name: str, network: RrcmVitConfig, learning_rate: float, decay: float, warm_up: int) -> RrcmRecipe:
    """Return the recipe of one size: what differs is the rate, the weight decay and the warm-up of pre-training."""
    return RrcmRecipe(
        name=name,
        data=_DATA,
        network=network,
        normalises=True,
        held_out=10_000,
        pretraining=Pretraining(
            fit=Fit(
                stage="pretraining",
                steps=600_000,
                learning_rate=learning_rate,
                optimizer=AdamW(weight_decay=decay),
                schedule=Cosine(warm_up=warm_up),
                average=FixedDecay(share=0.99),
                clip=2.0,
                clip_after=warm_up,
                precision="bf16",
            ),
            batch=4096,
            sharpness=10.0,
            starts_as_moco=True,
        ),
        probe=Probe(
            fit=Fit(stage="probe", steps=62_500, learning_rate=8e-4, schedule=Cosine(warm_up=6250)), batch=1024
        ),
        tunings=tuple(_tuning(*setting) for setting in _SETTINGS),
    )


RECIPE_B = _recipe("rrcm-imagenet", RRCM_IMAGENET_B, 2e-4, 0.03, 15_000)
RECIPE_S = _recipe("rrcm-imagenet-s", RRCM_IMAGENET_S, 1e-4, 0.01, 10_000)
