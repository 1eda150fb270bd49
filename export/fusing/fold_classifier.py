"""What of the way into the classifier is one linear map, and becomes one."""

from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from purecert.export.fusing.fold_convolutions import constant, fold_batch_norms
from purecert.export.fusing.fold_networks import copy_sharing_weights
from purecert.train.models.preprocessing import Preprocessing, PreprocessingConfig
from purecert.train.networks.vit import Vit
from purecert.train.shapes import Image


def fold_classifier(
    preprocessing: nn.Module, classifier: nn.Module, size: tuple[int, int]
) -> tuple[nn.Module, nn.Module]:
    """Return both for images of ``size`` (height and width), with what is linear between them merged.

    The classifier shares the weights that stay. The rounding of kind ``exact`` is not linear, and a normalisation
    before a padded convolution does not commute with it: those stay as they are.
    """
    folded = fold_batch_norms(copy_sharing_weights(classifier))
    if not isinstance(preprocessing, Preprocessing):
        return preprocessing, folded
    if isinstance(folded, Vit) and _tiles(folded, preprocessing.config):
        _merge_patches(folded, preprocessing.config, size)
        return nn.Identity(), folded
    config = preprocessing.config
    has_effect = config.size is not None or config.crop is not None or not _is_identity(config)
    return (preprocessing if has_effect else nn.Identity()), folded


def _is_identity(config: PreprocessingConfig) -> bool:
    scale, shift = config.affine()
    return set(scale) == {1.0} and set(shift) == {0.0}


def _tiles(classifier: Vit, config: PreprocessingConfig) -> bool:
    """Whether the resize gives the size that the transformer cuts into patches; a crop of that would be refused."""
    return config.size == classifier.config.image_size


@final
class MergedPatches(nn.Module):
    """Normalisation, resize and patch embedding as one linear map of the image.

    A resize to more pixels makes each pixel of a few of the image, so a patch is a linear function of a small window.
    """

    rows: Tensor
    columns: Tensor

    def __init__(
        self,
        weight: Float[Tensor, "patches window embedding"],
        bias: Float[Tensor, " embedding"],
        rows: Tensor,
        columns: Tensor,
    ) -> None:
        super().__init__()
        self.weight, self.bias = constant(weight), constant(bias)
        self.register_buffer("rows", rows)  # [patches down, window height]: which pixels a patch is made of
        self.register_buffer("columns", columns)

    def forward(self, x: Image) -> Float[Tensor, "batch embedding patches"]:
        (down, height), (across, width) = self.rows.shape, self.columns.shape
        seen = x.index_select(2, self.rows.flatten()).index_select(3, self.columns.flatten())
        # The batch stays in front: PyTorch 2.11 does not export a copy that puts it in the middle at any batch size.
        windows = seen.reshape(-1, x.shape[1], down, height, across, width).permute(0, 2, 4, 1, 3, 5)
        flat = windows.reshape(-1, down * across, x.shape[1] * height * width)
        # One matrix product per patch, [batch, window] x [window, embedding].
        return (torch.bmm(flat.transpose(0, 1), self.weight).transpose(0, 1) + self.bias).transpose(1, 2)


def _merge_patches(classifier: Vit, config: PreprocessingConfig, size: tuple[int, int]) -> None:
    """Give ``classifier`` patches that are made of images of ``size`` directly."""
    embeddings: Any = classifier.network.vit.embeddings  # the library's module, whose parts have its own types
    projection: nn.Conv2d = embeddings.patch_embeddings.projection
    scale, shift = (torch.tensor(values, dtype=torch.float64) for values in config.affine())
    weight = projection.weight.detach().double()
    assert projection.bias is not None
    # A resize keeps constants, so the normalisation's shift reaches every pixel of every patch as it is.
    bias = projection.bias.detach().double() + (weight.sum(dim=(2, 3)) @ shift)
    down, rows = _windows(size[0], config, projection.kernel_size[0])
    across, columns = _windows(size[1], config, projection.kernel_size[1])
    merged = torch.einsum("echw,c,ihp,jwq->ijcpqe", weight, scale, down, across)
    patches = merged.shape[0] * merged.shape[1]
    merged = merged.reshape(patches, -1, weight.shape[0])
    embeddings.patch_embeddings.projection = MergedPatches(merged.float(), bias.float(), rows, columns)
    embeddings.image_size = size  # what the transformer now takes, and checks


def _windows(pixels: int, config: PreprocessingConfig, patch: int) -> tuple[Tensor, Tensor]:
    """Return how each patch's pixels are made along one axis: weights [patches, patch, window] and which pixels.

    Windows of all patches have one size; where a patch needs fewer pixels, the others have weight 0.
    """
    assert config.size is not None
    grown = _resize_matrix(pixels, config).reshape(config.size // patch, patch, pixels)
    used = grown.abs().sum(dim=1) > 0
    first = used.int().argmax(dim=1)
    last = pixels - 1 - used.flip(1).int().argmax(dim=1)
    window = int((last - first).max()) + 1
    chosen = first.clamp(max=pixels - window)[:, None] + torch.arange(window)
    return grown.gather(2, chosen[:, None, :].expand(-1, patch, -1)), chosen


def _resize_matrix(pixels: int, config: PreprocessingConfig) -> Float[Tensor, "size pixels"]:
    """Return the resize of one axis as a matrix: what it makes of each unit vector."""
    assert config.size is not None
    units = torch.eye(pixels, dtype=torch.float64)[None, None]
    mode, antialias = config.interpolation, config.antialias
    grown = functional.interpolate(units, (config.size, pixels), mode=mode, align_corners=False, antialias=antialias)
    return grown[0, 0]
