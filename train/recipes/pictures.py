"""What a purifier of a recipe makes of images and of noise, as one picture beside its model."""

from pathlib import Path

from purecert.train.fitting.data import Images
from purecert.train.fitting.draws import Draws, step_seed
from purecert.train.fitting.grids import purification_rows, sample_rows, write_grid
from purecert.train.models.checkpoints import Model
from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.identity import IdentityPurifier
from purecert.train.purifiers.karras import KarrasPurifier

FILE = "pictures.png"
_SIGMAS = (0.25, 0.5, 1.0)
_IMAGES = 10  # a row


def draw_pictures(model: Model, images: Images, seed: int, folder: Path) -> None:
    """Write ``pictures.png``: clean, noisy and purified images, then samples; nothing of a model without a purifier.

    Samples are what one call makes of the largest noise, where the purifier knows which that is.

    Raises:
        BackendError: Pillow is not installed.
    """
    purifier = model.purifier
    if isinstance(purifier, IdentityPurifier):
        return
    device = next(purifier.parameters()).device
    draws = Draws(step_seed(seed, "pictures", 0), min(_IMAGES, len(images.labels)), None, device)
    rows = purification_rows(purifier, images.pixels[:_IMAGES].to(device), _SIGMAS, draws)
    if (sigma := _largest(purifier)) is not None:
        rows += sample_rows(purifier, model.input_shape, sigma, draws, count=2)
    write_grid(rows, folder / FILE)


def _largest(purifier: Purifier) -> float | None:
    """Return the sigma of the largest time that the purifier was trained for; None where it has none."""
    return purifier.config.levels.t_max / 2 if isinstance(purifier, KarrasPurifier) else None
