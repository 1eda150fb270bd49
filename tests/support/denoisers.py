"""Networks that tests can see through, and small ones of every family with random weights."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from purecert.train.networks.adm.unet import AdmUNet, AdmUNetConfig
from purecert.train.networks.film_unet import FilmUNet, FilmUNetConfig
from purecert.train.networks.plain_denoisers import Dncnn, Ffdnet, PlainDenoiserConfig
from purecert.train.networks.song.unet import SongUNet, SongUNetConfig
from support.golden import randomise

FAMILIES = ("song", "adm", "film", "ffdnet", "dncnn")

Answer = Callable[[Tensor, Tensor], Tensor]


class Recorder(nn.Module):
    """Answers by a formula of input and label, and keeps the labels that it was asked with."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
        self.labels: list[float] = []

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        self.labels.append(label.item())
        return self.answer(x, label)


class KnownAnswer(nn.Module):
    """Answers with a known output, such as a published network's, if asked with the input and label it belongs to."""

    def __init__(self, expected_input: Tensor, expected_label: Tensor, answer: Tensor) -> None:
        super().__init__()
        self.expected_input, self.expected_label, self.answer = expected_input, expected_label, answer

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        torch.testing.assert_close(x, self.expected_input, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(label.expand(len(x)), self.expected_label, atol=0, rtol=1e-6)
        return self.answer


class AtLabel(nn.Module):
    """A network at one time, as a network of the image alone."""

    def __init__(self, network: nn.Module, label: float) -> None:
        super().__init__()
        self.network, self.label = network, label

    def forward(self, x: Tensor) -> Tensor:
        raw: Tensor = self.network(x, torch.tensor([self.label]))
        return raw


def rounded(label: float) -> float:
    """Return a label as a network gets it, in FP32."""
    return torch.tensor(label, dtype=torch.float32).item()


def random_network(family: str, channels: int = 2) -> nn.Module:
    """Return a network of the family for 8x8 images, in eval mode."""
    torch.manual_seed(0)
    network = _build(family, channels)
    randomise(network)
    return network.eval().requires_grad_(False)


def _build(family: str, channels: int) -> nn.Module:
    plain = PlainDenoiserConfig(channels=channels, width=8, depth=3)
    match family:
        case "song":
            return SongUNet(
                SongUNetConfig(
                    img_resolution=8,
                    in_channels=channels,
                    out_channels=channels,
                    model_channels=8,
                    channel_mult=(1, 2),
                    num_blocks=1,
                )
            )
        case "adm":
            return AdmUNet(
                AdmUNetConfig(
                    image_size=8,
                    model_channels=32,
                    num_res_blocks=1,
                    attention_resolutions=(4,),
                    channel_mult=(1, 1),
                    qkv_order="three-heads-dim",
                    in_channels=channels,
                    out_channels=channels,
                )
            )
        case "film":
            return FilmUNet(FilmUNetConfig(channels=channels, widths=(4, 6, 8), last_width=3, embedding=8, classes=0))
        case "ffdnet":
            return Ffdnet(plain)
        case "dncnn":
            return Dncnn(plain)
    raise ValueError(f"expected one of {FAMILIES}, got {family}")
