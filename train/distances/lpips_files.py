"""LPIPS from files on this machine; nothing is ever downloaded."""

import importlib
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError, one_line
from purecert.train.distances.lpips import Lpips, LpipsConfig, PackageLpips
from purecert.train.distances.lpips_networks import BACKBONES, Backbone
from purecert.train.readers.torch_files import read_torch
from purecert.train.strict.state import build_empty, load_strictly

_OPTION = "--lpips-weights"


def load_lpips(config: LpipsConfig, weights: Path | None) -> Lpips | PackageLpips:
    """Return LPIPS with its published heads on the backbone in ``weights``.

    The lpips package computes it where it can be imported, else our network does, with the heads that lie in the
    package's folder. They agree to 1e-4 (tests/train/distances/test_lpips_package.py); ``origin`` says which it is.

    Args:
        config: Which network and size.
        weights: torchvision's state dict of the network, whole or its ``features`` alone, in FP32 or FP16.

    Raises:
        InputError: The file is missing or of another network, or the package is not installed.
    """
    backbone = BACKBONES[config.network]
    state = _read_features(backbone, weights)
    folder = package_folder()
    package = import_package()
    if not isinstance(package, str):
        return PackageLpips(config, _package_network(package, config, state, str(weights)), "the lpips package")
    holder = build_empty(lambda: nn.ModuleDict({"features": backbone.build()}), backbone.title)
    features = load_strictly(holder, state, f"{weights} as {backbone.title}")["features"]
    assert isinstance(features, nn.Sequential)
    heads = _read_heads(folder / "weights" / "v0.1" / f"{config.network}.pth", backbone)
    return Lpips(config, features, heads, f"the heads of the lpips package, which cannot be imported here ({package})")


def package_folder() -> Path:
    """Return where the lpips package lies, without importing it.

    Raises:
        InputError: It is not installed.
    """
    spec = find_spec("lpips")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "LPIPS needs the lpips package for its linear heads: `pip install 'purecert[train]'`, or "
            "`pip install --no-deps lpips` where there is no torchvision for this PyTorch"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def import_package() -> ModuleType | str:
    """Return the lpips package, or why it cannot be imported: torchvision is missing or of another PyTorch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision warns of image files, which nothing here reads
        try:
            return importlib.import_module("lpips")
        except (ImportError, RuntimeError) as error:  # the second is torchvision's, where its operators do not fit
            return one_line(error)


def _read_features(backbone: Backbone, weights: Path | None) -> dict[str, Any]:
    wanted = f"torchvision's weights of {backbone.title} ({backbone.file}), which purecert never downloads"
    if weights is None:
        raise InputError(f"LPIPS on {backbone.title} needs {wanted}: name the file with `{_OPTION} FILE`")
    if not weights.is_file():
        raise InputError(f"{weights}: no such file; `{_OPTION}` names {wanted}")
    state = read_torch(weights)
    if not isinstance(state, Mapping):
        raise InputError(f"{weights}: expected a state dict, found {type(state).__name__}; `{_OPTION}` names {wanted}")
    return {str(key): value for key, value in state.items() if not str(key).startswith("classifier.")}


def _read_heads(path: Path, backbone: Backbone) -> list[Tensor]:
    heads = build_empty(lambda: _heads(backbone), str(path))
    load_strictly(heads, read_torch(path), str(path))
    return [head.detach().flatten() for head in heads.parameters()]


def _heads(backbone: Backbone) -> nn.ModuleDict:
    """Return 1x1 convolutions under the names of the package's files: lin0.model.1.weight and so on."""
    convolutions = (nn.Conv2d(channels, 1, 1, bias=False) for channels in backbone.channels)
    return nn.ModuleDict(
        {f"lin{i}": nn.ModuleDict({"model": nn.Sequential(nn.Identity(), c)}) for i, c in enumerate(convolutions)}
    )


def _package_network(package: ModuleType, config: LpipsConfig, state: Mapping[str, Any], where: str) -> nn.Module:
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")  # the package calls torchvision by an old name of an argument
        network: nn.Module = package.LPIPS(net=config.network, pnet_rand=True, verbose=False)
    backbone = network.get_submodule("net")
    renamed = {
        key: "features." + key.split(".", 1)[1] for key in backbone.state_dict()
    }  # slice1.0.bias: features.0.bias
    title = f"{where} as {BACKBONES[config.network].title}"
    found = {key: state[name] for key, name in renamed.items() if name in state}
    extra = {key: value for key, value in state.items() if key not in renamed.values()}
    load_strictly(backbone, found | extra, title)
    return network
