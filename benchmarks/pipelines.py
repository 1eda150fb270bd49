"""Pipelines of the published sizes with random weights, for measurements where only shapes matter; and small ones."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import nn

from purecert.train.models.checkpoints import Model
from purecert.train.models.preprocessing import Preprocessing, PreprocessingConfig
from purecert.train.networks.adm.presets import IMPROVED_DIFFUSION_CIFAR10
from purecert.train.networks.adm.unet import AdmUNet
from purecert.train.networks.song.presets import CONSISTENCY_CIFAR10
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from purecert.train.networks.vit import Vit, VitConfig
from purecert.train.networks.wide_resnet import WideResNet, WideResNetConfig
from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.consistency import ConsistencyPurifier
from purecert.train.purifiers.diffusion import DiffusionConfig, DiffusionPurifier
from purecert.train.purifiers.karras import KarrasConfig

CLASSES = 10

_HALVES = (0.5, 0.5, 0.5)
_CIFAR10 = PreprocessingConfig(mean=(0.4914, 0.4822, 0.4465), std=(0.2471, 0.2435, 0.2616))
_SMALL_UNET = replace(
    CONSISTENCY_CIFAR10, img_resolution=8, model_channels=16, channel_mult=(1,), num_blocks=1, attn_resolutions=(8,)
)
_SMALL_VIT = VitConfig(classes=CLASSES, image_size=24, patch_size=4, hidden=32, layers=1, heads=4, intermediate=64)


def consistency_and_vit() -> Model:
    """Return the consistency model of CIFAR-10 (56.4 M parameters) and ViT-B/16."""
    return _consistency_and_vit(CONSISTENCY_CIFAR10, VitConfig(classes=CLASSES))


def consistency_and_wide_resnet() -> Model:
    """Return the consistency model of CIFAR-10 and WRN-28-10."""
    return _consistency_and_wide_resnet(CONSISTENCY_CIFAR10, depth=28, widen_factor=10)


def ddpm_and_vit() -> Model:
    """Return the improved-diffusion model of CIFAR-10 (52.5 M parameters) and ViT-B/16."""
    config = DiffusionConfig(schedule="cosine", steps=4000, rescale_times=True, learns_variance=True)
    purifier = DiffusionPurifier(config, AdmUNet(IMPROVED_DIFFUSION_CIFAR10))
    preprocessing = PreprocessingConfig(mean=_HALVES, std=_HALVES, size=224)
    return _model(purifier, Vit(VitConfig(classes=CLASSES)), preprocessing, resolution=32)


def small_consistency_and_vit() -> Model:
    """Return networks of the same families for images of 8 x 8, which a CPU runs in milliseconds."""
    return _consistency_and_vit(_SMALL_UNET, _SMALL_VIT)


def small_consistency_and_wide_resnet() -> Model:
    """Return networks of the same families for images of 8 x 8, which a CPU runs in milliseconds."""
    return _consistency_and_wide_resnet(_SMALL_UNET, depth=10, widen_factor=1)


# Name -> a builder of the full size, and one of the same families for dry runs.
PIPELINES: Mapping[str, tuple[Callable[[], Model], Callable[[], Model]]] = {
    "vit": (consistency_and_vit, small_consistency_and_vit),
    "wrn": (consistency_and_wide_resnet, small_consistency_and_wide_resnet),
}


def _consistency_and_vit(unet: SongUNetConfig, vit: VitConfig) -> Model:
    preprocessing = PreprocessingConfig(mean=_HALVES, std=_HALVES, size=vit.image_size)
    return _model(_consistency(unet), Vit(vit), preprocessing, unet.img_resolution)


def _consistency_and_wide_resnet(unet: SongUNetConfig, *, depth: int, widen_factor: int) -> Model:
    config = WideResNetConfig(depth=depth, widen_factor=widen_factor, classes=CLASSES, layout="block")
    return _model(_consistency(unet), WideResNet(config), _CIFAR10, unet.img_resolution)


def _consistency(unet: SongUNetConfig) -> Purifier:
    return ConsistencyPurifier(KarrasConfig(time_rule="nearest-2sigma"), SongUNet(unet))


def _model(purifier: Purifier, classifier: nn.Module, preprocessing: PreprocessingConfig, resolution: int) -> Model:
    """Return both with weights from torch's generator, which the caller seeds."""
    for module in (purifier, classifier):
        module.eval().requires_grad_(False)
        for weight in module.parameters():  # layers that start at almost nothing would hide all that comes before
            if weight.dim() > 1:
                nn.init.xavier_uniform_(weight.flatten(1))
    return Model(
        purifier=purifier,
        classifier=classifier,
        preprocessing=Preprocessing(preprocessing).eval(),
        input_shape=(3, resolution, resolution),
        classes=CLASSES,
        sources=("random weights, useful for their shapes alone",),
    )
