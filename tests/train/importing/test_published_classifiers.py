"""Files of classifiers as their publishers write them give the published logits, and know their normalisation."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from purecert.train.importing.assemble import ImportSpec, Source, import_model
from support.checkpoint_files import parallel, prefixed, write_safetensors, write_torch
from support.golden import golden

pytestmark = pytest.mark.shared

_CIFAR_STD = (0.2471, 0.2435, 0.2616)
_LOCUSLAB_STD = (0.2023, 0.1994, 0.2010)  # locuslab/smoothing and microsoft/denoised-smoothing, datasets.py
_IMAGENET_STD = (0.229, 0.224, 0.225)  # akamaster/pytorch_resnet_cifar10, trainer.py
_CLASSIFIERS = {
    "cifar_resnet_A": ("cifar-resnet", _IMAGENET_STD),
    "wideresnet_block_A": ("wide-resnet", _CIFAR_STD),
    "wideresnet_layer_A": ("wide-resnet", _CIFAR_STD),
}
_FILES: Mapping[str, Callable[[Path, dict[str, Tensor]], Path]] = {
    "plain": lambda folder, state: write_torch(folder / "a.pth", state),
    "trainer": lambda folder, state: write_torch(folder / "a.th", parallel(state)),
    "safetensors": lambda folder, state: write_safetensors(folder / "a.safetensors", state),
    "1.": lambda folder, state: write_torch(folder / "a.pth.tar", {"state_dict": prefixed(state, "1.")}),
    "1.module.": lambda folder, state: write_torch(folder / "a.tar", {"state_dict": prefixed(state, "1.module.")}),
    "module.1.": lambda folder, state: write_torch(folder / "a.tar", {"state_dict": prefixed(state, "module.1.")}),
}


@pytest.mark.parametrize("file", _FILES)
@pytest.mark.parametrize("name", _CLASSIFIERS)
def test_a_classifier_gives_the_published_logits(tmp_path: Path, name: str, file: str) -> None:
    kind, std = _CLASSIFIERS[name]
    source = Source(kind=kind, path=_FILES[file](tmp_path, golden(name).state()))
    model = import_model(ImportSpec(purifier=Source(kind="identity", path=None), classifier=source))
    arrays = golden(name).arrays
    for x, expected in zip(arrays["x"], arrays["logits"], strict=True):
        torch.testing.assert_close(model.classifier(x), expected, atol=5e-5, rtol=1e-5)
    assert model.classes == 10
    # The normalisation is no part of these files; the files that had one before them were trained with locuslab's.
    settings: Any = model.preprocessing
    assert settings.config.std == (_LOCUSLAB_STD if "1." in file else std)
