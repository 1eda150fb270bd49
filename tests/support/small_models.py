"""Small models of every family for 8x8 digits, with random weights or shortly trained."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pytest
import torch
from torch import nn
from torch.nn import functional

from purecert.engine.images.datasets import load_dataset
from purecert.train.models.checkpoints import Model
from purecert.train.models.preprocessing import ExactPreprocessing, Preprocessing, PreprocessingConfig
from purecert.train.networks.adm.unet import AdmUNet, AdmUNetConfig
from purecert.train.networks.film_unet import FilmUNet, FilmUNetConfig
from purecert.train.networks.plain_denoisers import Dncnn, Ffdnet, PlainDenoiserConfig
from purecert.train.networks.resnet import ResNet, ResNetConfig
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from purecert.train.networks.vit import Vit, VitConfig
from purecert.train.networks.wide_resnet import WideResNet, WideResNetConfig
from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.consistency import ConsistencyPurifier, MultistepConfig, MultistepPurifier
from purecert.train.purifiers.diffusion import DiffusionConfig, DiffusionPurifier
from purecert.train.purifiers.edm import EdmPurifier, OdeConfig, OdePurifier
from purecert.train.purifiers.gaussian import GaussianConfig, GaussianPurifier
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier
from purecert.train.purifiers.karras import KarrasConfig

Network = TypeVar("Network", bound=nn.Module)

_COSINE = DiffusionConfig(schedule="cosine", steps=4000, rescale_times=True, learns_variance=True)


def song_unet(*, residual: bool = False, decoder: str = "standard", variance: bool = False) -> SongUNet:
    """Return DDPM++ or, with ``residual``, NCSN++, for grey images of 8 x 8."""
    config = SongUNetConfig(
        img_resolution=8,
        in_channels=1,
        out_channels=2 if variance else 1,
        model_channels=8,
        channel_mult=(1, 1) if variance else (1, 2),
        patch_size=2 if variance else 1,
        num_blocks=1,
        attn_resolutions=(4,),
        augment_dim=9 if residual else 0,
        embedding_type="fourier" if residual else "positional",
        encoder_type="residual" if residual else "standard",
        decoder_type="skip" if decoder == "skip" else "standard",
        resample_filter=(1, 3, 3, 1) if residual else (1, 1),
    )
    return _random(SongUNet(config))


def adm_unet(*, scale_shift: bool = True, updown: bool = True, token: bool = False, variance: bool = False) -> AdmUNet:
    """Return an ADM network for grey images of 8 x 8."""
    config = AdmUNetConfig(
        image_size=8,
        in_channels=1,
        out_channels=2 if variance else 1,
        model_channels=32,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_resolutions=(4,),
        num_heads=2,
        qkv_order="heads-three-dim" if variance else "three-heads-dim",
        class_token=token,
        use_scale_shift_norm=scale_shift,
        resblock_updown=updown,
    )
    return _random(AdmUNet(config))


def _film_unet() -> FilmUNet:
    return _random(FilmUNet(FilmUNetConfig(channels=1, widths=(8, 16), classes=0, class_token=True)))


def _random(network: Network) -> Network:
    """Give every weight a size at which it matters, also those that start at zero, and norms that are not trivial."""
    generator = torch.Generator().manual_seed(3)
    for name, weight in network.named_parameters():
        if weight.dim() > 1:
            nn.init.xavier_uniform_(weight, generator=generator)
        else:
            nn.init.normal_(
                weight, 1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.1, generator=generator
            )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2, generator=generator)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2.0, generator=generator)  # type: ignore[arg-type]
    return network.eval().requires_grad_(False)


PURIFIERS: Mapping[str, Callable[[], Purifier]] = {
    "identity": lambda: IdentityPurifier(IdentityConfig()),
    "consistency, NCSN++": lambda: ConsistencyPurifier(
        KarrasConfig(time_rule="nearest-2sigma"), song_unet(residual=True)
    ),
    "consistency, DDPM++ with two images": lambda: ConsistencyPurifier(
        KarrasConfig(clip=True), song_unet(residual=True, decoder="skip")
    ),
    "consistency, ADM": lambda: ConsistencyPurifier(KarrasConfig(label_scale=1000.0), adm_unet(token=True)),
    "two steps": lambda: MultistepPurifier(MultistepConfig(), song_unet()),
    "EDM": lambda: EdmPurifier(KarrasConfig(), song_unet()),
    "ODE": lambda: OdePurifier(OdeConfig(steps=3), song_unet()),
    "DDPM, ADM with variance": lambda: DiffusionPurifier(_COSINE, adm_unet(variance=True)),
    "DDPM, ADM that adds the time": lambda: DiffusionPurifier(
        DiffusionConfig(schedule="linear", steps=1000, clip=False), adm_unet(scale_shift=False, updown=False)
    ),
    "DDPM, patches with variance": lambda: DiffusionPurifier(_COSINE, song_unet(variance=True)),
    "DDPM, FiLM": lambda: DiffusionPurifier(DiffusionConfig(schedule="linear", steps=1000), _film_unet()),
    "FFDNet": lambda: GaussianPurifier(
        GaussianConfig(), _random(Ffdnet(PlainDenoiserConfig(channels=1, width=16, depth=4)))
    ),
    "DnCNN": lambda: GaussianPurifier(
        GaussianConfig(predicts="noise"), _random(Dncnn(PlainDenoiserConfig(channels=1, width=16, depth=4)))
    ),
}


def _vit() -> nn.Module:
    shape = VitConfig(
        classes=10, image_size=24, patch_size=4, channels=1, hidden=32, layers=2, heads=4, intermediate=64
    )
    return _random(Vit(shape))


CLASSIFIERS: Mapping[str, Callable[[], nn.Module]] = {
    "ResNet A": lambda: _random(ResNet(ResNetConfig(classes=10, in_channels=1, blocks=(1, 1), widths=(16, 32)))),
    "ResNet B": lambda: _random(
        ResNet(ResNetConfig(classes=10, in_channels=1, blocks=(1, 1), widths=(16, 32), shortcut="projection"))
    ),
    "WideResNet, block": lambda: _random(
        WideResNet(WideResNetConfig(depth=10, widen_factor=1, classes=10, in_channels=1, layout="block"))
    ),
    "WideResNet, layer": lambda: _random(
        WideResNet(WideResNetConfig(depth=10, widen_factor=1, classes=10, in_channels=1, layout="layer"))
    ),
    "ViT": _vit,
}

# The cheapest with a time path, which export treats in most ways. Tests of all purifiers try the others nightly.
_SAMPLE = "DDPM, FiLM"


def every_purifier() -> list[Any]:
    """Return the names of ``PURIFIERS`` as a test's parameters, all but a sample marked nightly."""
    return [pytest.param(name, marks=[] if name == _SAMPLE else [pytest.mark.nightly]) for name in PURIFIERS]


_SIZES = {"ViT": 24}
_STEPS = 200


def preprocessing(
    classifier: str, *, exact: bool = False, resize: str = "bilinear", antialias: bool = False
) -> nn.Module:
    """Return what stands before a classifier of ``CLASSIFIERS``."""
    config = PreprocessingConfig(
        mean=(0.3,),
        std=(0.4,),
        size=_SIZES.get(classifier),
        interpolation="bicubic" if resize == "bicubic" else "bilinear",
        antialias=antialias,
    )
    return (ExactPreprocessing if exact else Preprocessing)(config).eval()


def small_model(purifier: str, classifier: str = "ResNet A", before: nn.Module | None = None) -> Model:
    """Return a model of random weights out of the two tables."""
    return Model(
        purifier=PURIFIERS[purifier]().eval().requires_grad_(False),
        classifier=CLASSIFIERS[classifier](),
        preprocessing=before or preprocessing(classifier),
        input_shape=(1, 8, 8),
        classes=10,
        data="digits:test[:100]",
    )


def trained_model(purifier: str, classifier: str, sigma: float) -> Model:
    """Return the same with a classifier trained on noisy digits as that random purifier leaves them.

    Its labels then mean something, and depend on every layer of the purifier.
    """
    model = small_model(purifier, classifier)
    data = load_dataset("digits:train")
    images, labels = torch.from_numpy(data.images).float() / 127.5 - 1, torch.from_numpy(data.labels)
    generator = torch.Generator().manual_seed(5)
    noisy = images + 2 * sigma * torch.randn(images.shape, generator=generator)
    fresh = [torch.randn(len(images), k, 1, 8, 8, generator=generator) for k in model.purifier.noise_inputs(sigma)]
    with torch.no_grad():
        seen = model.preprocessing(model.purifier(noisy, sigma, fresh))
    model.classifier.train().requires_grad_(True)
    optimiser = torch.optim.Adam(model.classifier.parameters(), 1e-3)
    for _ in range(_STEPS):
        chosen = torch.randint(len(images), (64,), generator=generator)
        loss = functional.cross_entropy(model.classifier(seen[chosen]), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.classifier.eval().requires_grad_(False)
    return model
