"""The tables that give the names in a model file their meaning: networks, purifiers, classifiers, preprocessings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from purecert.train.models.preprocessing import ExactPreprocessing, Preprocessing, PreprocessingConfig
from purecert.train.networks.adm.unet import AdmUNet, AdmUNetConfig
from purecert.train.networks.film_unet import FilmUNet, FilmUNetConfig
from purecert.train.networks.hf import HfClassifier, HfConfig
from purecert.train.networks.plain_denoisers import Dncnn, Ffdnet, PlainDenoiserConfig
from purecert.train.networks.resnet import ResNet, ResNetConfig
from purecert.train.networks.rrcm.classifier import RrcmClassifier, RrcmClassifierConfig
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from purecert.train.networks.torchvision_models import TorchvisionClassifier, TorchvisionConfig
from purecert.train.networks.vit import TimmClassifier, TimmConfig, Vit, VitConfig
from purecert.train.networks.wide_resnet import WideResNet, WideResNetConfig
from purecert.train.purifiers.consistency import ConsistencyPurifier, MultistepConfig, MultistepPurifier
from purecert.train.purifiers.diffusion import DiffusionConfig, DiffusionPurifier
from purecert.train.purifiers.edm import EdmPurifier, OdeConfig, OdePurifier
from purecert.train.purifiers.gaussian import GaussianConfig, GaussianPurifier
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier
from purecert.train.purifiers.karras import KarrasConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One entry of the tables: what a name in a file stands for."""

    module: type[Any]
    config: type[Any]
    has_network: bool = False  # the module wraps a network, described under "network" in the configuration


NETWORKS: Mapping[str, Kind] = {
    "song_unet": Kind(module=SongUNet, config=SongUNetConfig),
    "adm_unet": Kind(module=AdmUNet, config=AdmUNetConfig),
    "film_unet": Kind(module=FilmUNet, config=FilmUNetConfig),
    "ffdnet": Kind(module=Ffdnet, config=PlainDenoiserConfig),
    "dncnn": Kind(module=Dncnn, config=PlainDenoiserConfig),
}
PURIFIERS: Mapping[str, Kind] = {
    "identity": Kind(module=IdentityPurifier, config=IdentityConfig),
    "consistency": Kind(module=ConsistencyPurifier, config=KarrasConfig, has_network=True),
    "consistency-multistep": Kind(module=MultistepPurifier, config=MultistepConfig, has_network=True),
    "edm": Kind(module=EdmPurifier, config=KarrasConfig, has_network=True),
    "ode": Kind(module=OdePurifier, config=OdeConfig, has_network=True),
    "ddpm": Kind(module=DiffusionPurifier, config=DiffusionConfig, has_network=True),
    "gaussian": Kind(module=GaussianPurifier, config=GaussianConfig, has_network=True),
}
CLASSIFIERS: Mapping[str, Kind] = {
    "resnet": Kind(module=ResNet, config=ResNetConfig),
    "wide_resnet": Kind(module=WideResNet, config=WideResNetConfig),
    "vit": Kind(module=Vit, config=VitConfig),
    "hf": Kind(module=HfClassifier, config=HfConfig),
    "timm": Kind(module=TimmClassifier, config=TimmConfig),
    "rrcm": Kind(module=RrcmClassifier, config=RrcmClassifierConfig),
    "torchvision": Kind(module=TorchvisionClassifier, config=TorchvisionConfig),
}
PREPROCESSINGS: Mapping[str, Kind] = {
    "fast": Kind(module=Preprocessing, config=PreprocessingConfig),
    "exact": Kind(module=ExactPreprocessing, config=PreprocessingConfig),
}
