"""LPIPS is put together from files alone, and says in one line which file is missing."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from purecert.engine.errors import InputError
from purecert.train.distances import lpips_files
from purecert.train.distances.lpips import Lpips, LpipsConfig, lpips_distance
from purecert.train.distances.lpips_files import load_lpips
from purecert.train.distances.lpips_networks import BACKBONES, LpipsNetwork
from support.checkpoint_files import write_torch
from support.shared_files import shared

_NETWORKS: list[LpipsNetwork] = ["alex", "squeeze", "vgg"]


def _backbone(network: LpipsNetwork) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BACKBONES[network].build().eval().requires_grad_(False)


@pytest.fixture
def heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Stand in for an lpips package that cannot be imported, with heads of its own for AlexNet."""
    (tmp_path / "lpips" / "weights" / "v0.1").mkdir(parents=True)
    generator = torch.Generator().manual_seed(1)
    channels = BACKBONES["alex"].channels
    made = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1, generator=generator) for i, c in enumerate(channels)}
    write_torch(tmp_path / "lpips" / "weights" / "v0.1" / "alex.pth", made)
    monkeypatch.setattr(lpips_files, "package_folder", lambda: tmp_path / "lpips")
    monkeypatch.setattr(lpips_files, "import_package", lambda: "no torchvision")
    return made


def _state(network: nn.Sequential) -> dict[str, Tensor]:
    """Return the state dict as torchvision publishes it: with the layers that LPIPS does not look into."""
    features = {f"features.{key}": value.half() for key, value in network.state_dict().items()}
    return features | {"classifier.1.weight": torch.zeros(2, 2)}


def test_backbone_and_heads_come_from_their_files(tmp_path: Path, heads: dict[str, Tensor]) -> None:
    network = _backbone("alex")
    path = write_torch(tmp_path / "alexnet.pth", _state(network))
    before = torch.random.get_rng_state()
    loaded = load_lpips(LpipsConfig(network="alex", size=40), path)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert isinstance(loaded, Lpips)
    assert "cannot be imported here (no torchvision)" in loaded.origin
    a = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(2)) * 2 - 1
    b = (-a).requires_grad_()
    found = loaded(a, b)
    taps: list[list[Tensor]] = [[], []]
    for x, kept in zip((a, b), taps, strict=True):
        large = nn.functional.interpolate(x, (40, 40), mode="bilinear", align_corners=False)
        x = (large.repeat(1, 3, 1, 1) - torch.tensor([-0.03, -0.088, -0.188])[:, None, None]) / torch.tensor(
            [0.458, 0.448, 0.45]
        )[:, None, None]
        for index, layer in enumerate(network.half().float()):
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                kept.append(x)
            assert index < 12
    torch.testing.assert_close(found, lpips_distance(*taps, [w.flatten() for w in heads.values()]), rtol=1e-5, atol=0)
    found.sum().backward()
    assert b.grad is not None
    assert bool(b.grad.any())
    assert all(p.grad is None and not p.requires_grad for p in loaded.parameters())


@pytest.mark.parametrize("network", _NETWORKS)
def test_the_least_size_is_the_least_that_works(network: LpipsNetwork) -> None:
    backbone, least = BACKBONES[network], BACKBONES[network].smallest
    model = Lpips(
        LpipsConfig(network=network), _backbone(network), [torch.ones(c) for c in backbone.channels], "made up"
    )
    assert float(model(torch.zeros(1, 3, least, least), torch.ones(1, 3, least, least))) > 0
    with pytest.raises(RuntimeError):
        model.features(torch.zeros(1, 3, least - 1, least - 1))
    for call in (
        lambda: model.config.prepare(torch.zeros(1, 3, 99, least - 1)),
        lambda: LpipsConfig(network=network, size=least - 1),
    ):
        with pytest.raises(ValueError, match=f"at least {least} pixels"):
            call()


def test_images_of_two_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="grey or RGB images, got 2 channels"):
        LpipsConfig().prepare(torch.zeros(1, 2, 64, 64))


@pytest.mark.parametrize("network", _NETWORKS)
def test_a_missing_backbone_names_the_file_and_the_option(tmp_path: Path, network: LpipsNetwork) -> None:
    wanted = rf"torchvision's weights of {BACKBONES[network].title} \({BACKBONES[network].file}\)"
    for weights in (None, tmp_path / "absent.pth"):
        with pytest.raises(InputError, match=wanted) as caught:
            load_lpips(LpipsConfig(network=network), weights)
        assert "--lpips-weights" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 2


def test_a_backbone_of_another_network_is_refused(tmp_path: Path, heads: dict[str, Tensor]) -> None:
    path = write_torch(tmp_path / "squeeze.pth", _state(_backbone("squeeze")))
    with pytest.raises(InputError, match=r"squeeze.pth as AlexNet: weight 'features.* is missing"):
        load_lpips(LpipsConfig(network="alex"), path)


def test_a_file_without_a_state_dict_is_refused(tmp_path: Path) -> None:
    path = write_torch(tmp_path / "list.pth", [torch.zeros(1)])
    with pytest.raises(InputError, match=r"list.pth: expected a state dict, found list; `--lpips-weights` names"):
        load_lpips(LpipsConfig(network="alex"), path)


def test_an_absent_package_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lpips_files, "find_spec", lambda name: None)
    path = write_torch(tmp_path / "alexnet.pth", _state(_backbone("alex")))
    with pytest.raises(InputError, match="pip install --no-deps lpips"):
        load_lpips(LpipsConfig(network="alex"), path)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("network", "file"), [("alex", "alexnet_features_fp32.pt"), ("squeeze", "squeezenet1_1_features_fp16.pt")]
)
def test_published_weights_have_the_layout(network: LpipsNetwork, file: str) -> None:
    state = torch.load(shared(f"data/weights/lpips/{file}"), weights_only=True)
    expected = {f"features.{key}": value.shape for key, value in _backbone(network).state_dict().items()}
    assert {key: value.shape for key, value in state.items()} == expected
