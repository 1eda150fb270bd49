"""rRCM on CIFAR-10: small for two cores, and the paper's B for a server. Neither was run to its end."""

from dataclasses import replace

from purecert.train.fitting.plans.averages import FixedDecay
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.rates import Cosine
from purecert.train.networks.rrcm.presets import RRCM_CIFAR10_B
from purecert.train.networks.rrcm.vit import RrcmVitConfig
from purecert.train.recipes.paper.recipe import MIRRORED, Data
from purecert.train.recipes.rrcm.recipe import Pretraining, Probe, RrcmRecipe, Tuning, small_fit, stage_name
from purecert.train.schedules.noise_levels import NoiseRange

_DATA = Data(train="cifar10:train", shape=(3, 32, 32), classes=10, licence="CIFAR-10 (no licence stated)")
_SETTINGS = ((0.25, 10.0, 0.75), (0.5, 20.0, 0.75), (1.0, 20.0, 0.65))  # sigma, lambda, decay of layers


RRCM_CIFAR10_SMALL = RrcmRecipe(
    name="rrcm-cifar10-small",
    data=_DATA,
    network=RrcmVitConfig(width=128, depth=4, heads=4, projection_hidden=512, projection_width=128),
    pretraining=Pretraining(
        fit=replace(small_fit("pretraining", 600, 1e-3), average=FixedDecay(share=0.98), clip_after=60),
        batch=256,
        slowest=0.999,
    ),
    probe=Probe(fit=small_fit("probe", 100, 1e-2), batch=256),
    tunings=tuple(
        Tuning(
            fit=small_fit(stage_name("tuning", sigma), 600, 1e-3, decay),
            batch=128,
            sigma=sigma,
            weight=weight,
            augmentation=MIRRORED,
        )
        for sigma, weight, decay in _SETTINGS
    ),
    levels=NoiseRange(t_max=5.0),
)

_EPOCH = 50_000 / 1024  # steps of tuning

# Lei et al. 2025, their configuration CIFAR-B; the rate of tuning is 2e-4 for 256 images.
RRCM_CIFAR10 = RrcmRecipe(
    name="rrcm-cifar10",
    data=_DATA,
    network=RRCM_CIFAR10_B,
    pretraining=Pretraining(
        fit=Fit(
            stage="pretraining",
            steps=300_000,
            learning_rate=1e-4,
            schedule=Cosine(warm_up=10_000),
            average=FixedDecay(share=0.9999),
            clip=2.0,
            clip_after=10_000,
            precision="bf16",
        ),
        batch=2048,
    ),
    probe=Probe(
        fit=Fit(stage="probe", steps=round(100 * _EPOCH), learning_rate=8e-4, schedule=Cosine(warm_up=488)), batch=1024
    ),
    tunings=tuple(
        Tuning(
            fit=Fit(
                stage=stage_name("tuning", sigma),
                steps=round(100 * _EPOCH),
                learning_rate=8e-4,
                schedule=Cosine(warm_up=round(10 * _EPOCH)),
                layer_decay=decay,
            ),
            batch=1024,
            sigma=sigma,
            weight=weight,
            measured_every=round(_EPOCH),
        )
        for sigma, weight, decay in _SETTINGS
    ),
)
