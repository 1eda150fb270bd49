"""Fashion-MNIST on two cores, cut to fit 25 minutes; its comparisons take longer.

In FP32: bf16 is faster where the processor has it, and many times slower where it is emulated. A step of the five
stages took .50, .45, 1.13, 2.36 and 1.73 s of one thread on an AMD EPYC of Zen 3 (AVX2), beside other programs: 2,580
processor seconds in all, 21.5 minutes for two processes. It has not been run to its end.
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
from purecert.train.objectives.sigmas import DiscreteSigmas, UniformSigmas
from purecert.train.purifiers.karras import KarrasConfig
from purecert.train.recipes.paper.comparisons import (
    Comparison,
    NoisyClassifier,
    OdeSolver,
    OtherTuning,
    TrainedOn,
    TunedClassifier,
    noisy_name,
)
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


def _tuning_fit(stage: str) -> Fit:
    return purifier_fit(stage, 150, 3e-4, half_life=20, warm_up=15)


_FEATURES = ResNetConfig(
    classes=10, in_channels=1, blocks=(1, 1, 1), widths=(16, 40, 96), shortcut="projection", head="fc"
)
_SECOND = replace(_FEATURES, blocks=(1, 2, 2), widths=(16, 32, 64))  # another depth and width; another start too
_SIGMAS = DiscreteSigmas(values=(0.25, 0.5, 1.0))
_MEAN, _STD = -0.5, 1.0  # of the teacher's ln t: most draws at t in [.2, 2], where sigma in [.1, 1] is

_TUNINGS = (
    Comparison(name="fine-tuning-l1", part=OtherTuning(fit=_tuning_fit("fine-tuning-l1"), distance="l1")),
    Comparison(name="fine-tuning-l2", part=OtherTuning(fit=_tuning_fit("fine-tuning-l2"), distance="l2")),
    Comparison(name="fine-tuning-lpips", part=OtherTuning(fit=_tuning_fit("fine-tuning-lpips"), distance="lpips")),
    Comparison(
        name="fine-tuning-uniform", part=OtherTuning(fit=_tuning_fit("fine-tuning-uniform"), sigmas=UniformSigmas())
    ),
    Comparison(name="teacher-fine-tuning", part=OtherTuning(fit=_tuning_fit("teacher-fine-tuning"), of_teacher=True)),
)
# By the FLOPs of a dry run, 748 steps of the teacher cost what distillation and fine-tuning cost together.
_TEACHERS = (
    Comparison(
        name="teacher-on",
        part=TrainedOn(fit=purifier_fit("teacher-on", 748, 1e-3, half_life=100, warm_up=80), mean=_MEAN, std=_STD),
    ),
    Comparison(name="ode", part=OdeSolver()),
)
_TUNED_CLASSIFIERS = (
    Comparison(
        name="classifier-tuning",
        part=TunedClassifier(
            fit=classifier_fit("classifier-tuning", 300, 1e-3, warm_up=30), purifier="distillation", sigmas=_SIGMAS
        ),
    ),
    Comparison(
        name="classifier-tuning-both",
        part=TunedClassifier(
            fit=classifier_fit("classifier-tuning-both", 300, 1e-3, warm_up=30), purifier="fine-tuning", sigmas=_SIGMAS
        ),
    ),
)


def _noisy(sigma: float, weight: float) -> Comparison:
    """Return a noise-trained classifier; two copies of half as many batches cost what one of all costs."""
    name = noisy_name(sigma, is_regularised=bool(weight))
    fit = classifier_fit(name, 400 if weight else 800)
    return Comparison(name=name, part=NoisyClassifier(fit=fit, network=_SECOND, sigma=sigma, weight=weight))


_NOISY = tuple(_noisy(sigma, 0.0) for sigma in _SIGMAS.values)
# lambda 20 at sigma .25, 10 at .5 and 1: Jeong and Shin 2020 on CIFAR-10.
_REGULARISED = tuple(_noisy(sigma, weight) for sigma, weight in zip(_SIGMAS.values, (20.0, 10.0, 10.0), strict=True))

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
    classifier=Classifier(fit=classifier_fit("classifier", 800), network=_FEATURES),
    second_classifier=Classifier(fit=classifier_fit("second-classifier", 800), network=_SECOND),
    teacher=Teacher(fit=purifier_fit("teacher", 800, 2e-3, half_life=100, warm_up=100), mean=_MEAN, std=_STD),
    distillation=Distillation(fit=purifier_fit("distillation", 280, 5e-4, half_life=40, warm_up=30)),
    fine_tuning=FineTuning(fit=_tuning_fit("fine-tuning"), distance="features", sigmas=_SIGMAS),
    lpips=LpipsConfig(network="squeeze", size=64),
    comparisons=(*_TEACHERS, *_TUNINGS, *_TUNED_CLASSIFIERS, *_NOISY, *_REGULARISED),
)
