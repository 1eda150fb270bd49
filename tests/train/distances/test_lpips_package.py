"""Our LPIPS and the lpips package give the same numbers, the published ones on its example images."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from purecert.engine.errors import InputError
from purecert.train.distances import lpips_files
from purecert.train.distances.lpips import Lpips, LpipsConfig, PackageLpips
from purecert.train.distances.lpips_files import load_lpips
from purecert.train.distances.lpips_networks import LpipsNetwork
from support.checkpoint_files import write_torch
from support.shared_files import shared

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torchvision warns where it has no image extension, which nothing here needs
    pytest.importorskip(
        "lpips", reason="lpips cannot be imported: it needs torchvision, which has no CPU build", exc_type=ImportError
    )
    from torchvision import models

_BUILDERS = {"alex": models.alexnet, "squeeze": models.squeezenet1_1, "vgg": models.vgg16}


def _both(network: LpipsNetwork, path: Path, monkeypatch: pytest.MonkeyPatch, size: int | None = None) -> list[Tensor]:
    """Return what the package and our network give for the example images, [pairs] each."""
    config = LpipsConfig(network=network, size=size)
    package = load_lpips(config, path)
    monkeypatch.setattr(lpips_files, "import_package", lambda: "left out by the test")
    ours = load_lpips(config, path)
    assert isinstance(package, PackageLpips)
    assert isinstance(ours, Lpips)
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 3, 3, 48, 48, generator=generator) * 2 - 1
    found = [model(a, b.lerp(a, 0.3).requires_grad_()) for model in (package, ours)]
    assert all(not p.requires_grad for model in (package, ours) for p in model.parameters())
    return found


@pytest.mark.parametrize(("network", "size"), [("alex", None), ("alex", 64), ("squeeze", None), ("vgg", None)])
def test_our_network_is_the_packages(
    network: LpipsNetwork, size: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        features = _BUILDERS[network]().features  # torchvision's names of its weights
    before = torch.random.get_rng_state()
    path = write_torch(tmp_path / "a.pth", {f"features.{k}": v for k, v in features.state_dict().items()})
    package, ours = _both(network, path, monkeypatch, size)
    assert float(package.min()) > 0
    torch.testing.assert_close(ours, package, rtol=1e-5, atol=1e-7)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.shared
@pytest.mark.parametrize("way", ["package", "ours"])
@pytest.mark.parametrize(
    ("network", "file", "published"),
    [
        ("alex", "alexnet_features_fp32.pt", (0.7219, 0.1376)),
        ("squeeze", "squeezenet1_1_features_fp16.pt", (0.7110, 0.1479)),
    ],
)
def test_the_example_images_have_their_published_distances(
    network: LpipsNetwork, file: str, published: tuple[float, float], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "ours":
        monkeypatch.setattr(lpips_files, "import_package", lambda: "left out by the test")
    model = load_lpips(LpipsConfig(network=network), shared(f"data/weights/lpips/{file}"))
    assert isinstance(model, Lpips if way == "ours" else PackageLpips)
    reference, *others = (_image(name) for name in ("ex_ref", "ex_p0", "ex_p1"))
    assert [float(model(reference, other)) for other in others] == pytest.approx(published, abs=1e-3)


def _image(name: str) -> Tensor:
    from PIL import Image

    with Image.open(shared(f"data/lpips_examples/{name}.png")) as file:
        pixels = torch.from_numpy(np.array(file.convert("RGB")))
    return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1


def test_a_backbone_of_another_network_is_refused_for_the_package_too(tmp_path: Path) -> None:
    state = {f"features.{k}": v for k, v in models.squeezenet1_1().features.state_dict().items()}
    path = write_torch(tmp_path / "a.pth", state)
    with pytest.raises(InputError, match=r"a.pth as AlexNet: weight .* is missing"):
        load_lpips(LpipsConfig(network="alex"), path)
    path = write_torch(tmp_path / "b.pth", state | {"features.99.weight": torch.zeros(1)})
    with pytest.raises(InputError, match=r"b.pth as SqueezeNet 1.1: unknown weight 'features.99.weight'"):
        load_lpips(LpipsConfig(network="squeeze"), path)
