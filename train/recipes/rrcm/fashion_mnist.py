"""rRCM on Fashion-MNIST on two cores: one pre-training for three sigmas, and the same budget without it."""

from dataclasses import replace

from purecert.train.fitting.plans.averages import FixedDecay
from purecert.train.fitting.plans.fit import Fit
from purecert.train.networks.rrcm.vit import RrcmVitConfig
from purecert.train.recipes.paper.recipe import MIRRORED, Data
from purecert.train.recipes.rrcm.recipe import Pretraining, Probe, RrcmRecipe, Tuning, small_fit, stage_name
from purecert.train.schedules.noise_levels import NoiseRange

_SIGMAS = {0.25: 10.0, 0.5: 20.0, 1.0: 20.0}  # each with its lambda
_TUNED, _PRETRAINED, _PROBED = 150, 150, 50  # steps
_MEASURED = 5  # times that the weights of a tuning are offered as the best
# What comes before, in steps of tuning, with two passes backwards for one forwards. Pre-training passes each of 256
# images six times forwards and three times backwards, the probe once forwards; tuning 128 images twice both ways.
_BEFORE = 256 * (_PRETRAINED * (6 + 3 * 2) + _PROBED) // (128 * 2 * (1 + 2))


def _fit(stage: str, steps: int, learning_rate: float, layer_decay: float = 1.0) -> Fit:
    return replace(small_fit(stage, steps, learning_rate, layer_decay), report_every=50, save_every=50)


def _tuning(sigma: float, weight: float) -> Tuning:
    fit = _fit(stage_name("tuning", sigma), _TUNED, 1e-3, layer_decay=0.75)
    return Tuning(
        fit=fit, batch=128, sigma=sigma, weight=weight, measured_every=_TUNED // _MEASURED, augmentation=MIRRORED
    )


def _scratch(sigma: float, weight: float) -> Tuning:
    """Return a tuning from new weights, which has its own steps and those that a third of the pre-training costs."""
    fit = _fit(stage_name("scratch", sigma), _TUNED + _BEFORE // len(_SIGMAS), 3e-3)
    every = -(-fit.steps // _MEASURED)  # both arms choose among as many
    return replace(_tuning(sigma, weight), fit=fit, measured_every=every, from_pretraining=False)


RRCM_FASHION_MNIST = RrcmRecipe(
    name="rrcm-fashion-mnist",
    data=Data(train="fashion_mnist:train", shape=(1, 28, 28), classes=10, licence="Fashion-MNIST (MIT, Zalando SE)"),
    network=RrcmVitConfig(
        image_size=28,
        channels=1,
        width=96,
        depth=3,
        heads=3,
        projection_hidden=256,
        projection_width=64,
        sigma_data=0.7,
    ),
    pretraining=Pretraining(
        fit=replace(_fit("pretraining", _PRETRAINED, 1e-3), average=FixedDecay(share=0.95), clip_after=15),
        batch=256,
        slowest=0.999,
    ),
    probe=Probe(fit=_fit("probe", _PROBED, 1e-2), batch=256),
    tunings=(
        *(_tuning(sigma, weight) for sigma, weight in _SIGMAS.items()),
        *(_scratch(sigma, weight) for sigma, weight in _SIGMAS.items()),
    ),
    levels=NoiseRange(t_max=5.0),
)
