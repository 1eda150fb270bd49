"""What every objective offers to the training loop."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from purecert.train.fitting.draws import Batch
from purecert.train.shapes import Image


class Objective(ABC):
    """What a training minimises: one equation, with the networks and the numbers that it needs.

    A new objective is a frozen dataclass that gives ``__call__``. Networks that it does not train get no gradient.
    """

    __slots__ = ()

    @abstractmethod
    def __call__(self, batch: Batch) -> Tensor:
        """Return the loss, a scalar: the mean over the rows of ``batch``, whose draws give all randomness."""

    def after_step(self, step: int) -> None:  # noqa: B027, most objectives have nothing to do
        """Let a moving target follow the trained network, after the optimiser has done ``step`` (counted from 0)."""

    def kept(self) -> Mapping[str, nn.Module]:
        """Return the modules that change with the training, beside the trained one: a checkpoint must hold them."""
        return {}


def per_image(values: Tensor, images: Image) -> Tensor:
    """Return one value for each image, [batch, 1, 1, 1], to multiply ``images`` with."""
    return values.to(images)[:, None, None, None]
