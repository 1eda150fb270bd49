"""Configurations survive the way through plain values, and nothing else does."""

from typing import Any

import pytest

from purecert.engine.errors import InputError
from purecert.train.models.preprocessing import PreprocessingConfig
from purecert.train.networks.song.unet import SongUNetConfig
from purecert.train.purifiers.consistency import MultistepConfig
from purecert.train.strict.configuration import build_config, plain_config

_UNET = SongUNetConfig(img_resolution=16, in_channels=3, out_channels=3, channel_mult=(1, 2), attn_resolutions=())


@pytest.mark.parametrize("config", [_UNET, MultistepConfig(), PreprocessingConfig(mean=(0.5,), std=(0.5,), size=32)])
def test_a_configuration_survives_the_round_trip(config: object) -> None:
    assert build_config(type(config), plain_config(config), "config") == config


def test_lists_and_integers_stand_for_tuples_and_floats() -> None:
    built = build_config(PreprocessingConfig, {"mean": [0], "std": [1]}, "config")
    assert built == PreprocessingConfig(mean=(0.0,), std=(1.0,))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_channel": 8}, r"unknown fields \['model_channel'\], .* known are img_resolution, "),
        ({"num_blocks": "4"}, "num_blocks: expected a value of type int, found '4'"),
        ({"num_blocks": True}, "num_blocks: expected a value of type int, found True"),
        ({"bottom_attention": 1}, "bottom_attention: expected a value of type bool, found 1"),
        ({"channel_mult": 2}, "channel_mult: expected a list"),
        ({"channel_mult": [1, 2.0]}, r"channel_mult\[1\]: expected a value of type int, found 2\.0"),
        ({"encoder_type": "fancy"}, r"expected one of \['standard', 'skip', 'residual'\]"),
        ({"dropout": -1.0}, "dropout must be in"),
    ],
)
def test_a_value_that_does_not_fit_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        build_config(SongUNetConfig, plain_config(_UNET) | change, "config")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match=r"config: .* missing fields \['img_resolution'\]"):
        build_config(SongUNetConfig, {"in_channels": 1, "out_channels": 1}, "config")


def test_nested_values_are_named_by_their_path() -> None:
    with pytest.raises(InputError, match=r"config: model: levels: t_max: expected a finite number, found '80'"):
        build_config(MultistepConfig, {"model": {"levels": {"t_max": "80"}}}, "config")


@pytest.mark.parametrize("values", [None, [], "kind"])
def test_anything_but_a_mapping_is_refused(values: object) -> None:
    with pytest.raises(InputError, match="expected an object"):
        build_config(MultistepConfig, values, "config")
