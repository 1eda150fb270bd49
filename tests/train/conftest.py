"""Small models for the tests of training."""

import pytest
import torch

from purecert.train.models.checkpoints import Model
from purecert.train.models.preprocessing import Preprocessing, PreprocessingConfig
from purecert.train.networks.resnet import ResNet, ResNetConfig
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from purecert.train.purifiers.consistency import ConsistencyPurifier
from purecert.train.purifiers.karras import KarrasConfig
from purecert.train.schedules.noise_levels import NoiseRange
from support.golden import randomise


@pytest.fixture
def small_network() -> SongUNet:
    """Return a network for 8x8 grey images with random weights."""
    torch.manual_seed(0)
    shape = SongUNetConfig(
        img_resolution=8,
        in_channels=1,
        out_channels=1,
        model_channels=8,
        channel_mult=(1, 2),
        num_blocks=1,
        dropout=0.0,
    )
    network = SongUNet(shape).eval()
    randomise(network)
    return network


@pytest.fixture
def small_model(small_network: SongUNet) -> Model:
    """Return an untrained model with every optional entry set."""
    classifier = ResNet(ResNetConfig(classes=3, in_channels=1, blocks=(1, 1), widths=(4, 8)))
    return Model(
        purifier=ConsistencyPurifier(KarrasConfig(levels=NoiseRange(t_max=4.0)), small_network).eval(),
        classifier=classifier.eval(),
        preprocessing=Preprocessing(PreprocessingConfig(mean=(0.3,), std=(0.4,), size=16)),
        input_shape=(1, 8, 8),
        classes=3,
        class_names=("one", "two", "three"),
        data="digits:train",
        sources=("made up",),
        licence="MIT",
    )
