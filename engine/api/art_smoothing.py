"""The calls of ART's randomized smoothing (Adversarial Robustness Toolbox), answered by a plan; ART is not needed."""

from typing import Unpack, final

import numpy as np
from numpy.typing import NDArray

from purecert.engine.api.certifying import Count, Number, PathLike, RunOptions, certify, predict
from purecert.engine.errors import InputError
from purecert.engine.noise.contract import GREY_LEVELS
from purecert.engine.plans.plan import Plan

_CLOSE = 1e-3  # of a grey level: what float32 leaves of an 8-bit pixel over 255


@final
class ArtSmoothing:
    """Stands where a program calls ``certify(x, n)`` and ``predict(x)`` of ART's ``PyTorchRandomizedSmoothing``."""

    def __init__(
        self,
        plan: Plan | PathLike,
        *,
        scale: Number,
        sample_size: Count = 100,
        alpha: Number = 1e-3,
        **options: Unpack[RunOptions],
    ) -> None:
        """Answer by ``plan``; the names are ART's.

        Args:
            plan: A plan, or its directory.
            scale: Noise standard deviation, in pixel units of [0, 1].
            sample_size: Draws that pick the class to certify, and draws that vote in a prediction.
            alpha: Failure probability of one image's answer.
            options: As of ``purecert.certify``.
        """
        self.plan, self.scale, self.sample_size, self.alpha = plan, scale, sample_size, alpha
        self._options = options

    def certify(
        self, x: NDArray[np.floating], n: Count, batch_size: Count = 256
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return each image's class, -1 for an abstention, and its radius (L2, pixels in [0, 1]).

        Args:
            x: 8-bit images as floats in [0, 1], [images, channels, height, width].
            n: Fresh draws that bound the class's probability.
            batch_size: Rows of one call of the graph.

        Raises:
            InputError: A pixel is no 8-bit one, of which alone certificates speak; or as ``purecert.certify``.
        """
        options: RunOptions = {**self._options, "batch": batch_size}
        run = certify(
            self.plan, eight_bits(x), sigma=self.scale, n=n, n0=self.sample_size, alpha=self.alpha, **options
        ).arrays()
        return run["predicted"].astype(np.int64), run["radius"].astype(np.float64)

    def predict(
        self, x: NDArray[np.floating], batch_size: Count = 256, verbose: bool = False, *, is_abstain: bool = True
    ) -> NDArray[np.float64]:
        """Return [images, classes]: 1 at each image's class, or zeros for an abstention; ``x`` as of ``certify``.

        Args:
            x: As of ``certify``.
            batch_size: Rows of one call of the graph.
            verbose: As ART's callers give it; nothing is printed either way.
            is_abstain: True; an answer of each image, sure or not, is not to be had.

        Raises:
            InputError: As ``certify``, or an image without an answer is asked for one.
        """
        if not is_abstain:
            raise InputError("expected is_abstain=True: purecert gives no answer that it would have to guess")
        options: RunOptions = {**self._options, "batch": batch_size}
        run = predict(self.plan, eight_bits(x), sigma=self.scale, n=self.sample_size, alpha=self.alpha, **options)
        answers = run.arrays()["predicted"]
        return np.asarray(answers[:, None] == np.arange(run.classes), np.float64)


def eight_bits(x: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return images of floats in [0, 1] as the 8-bit images that they are.

    Raises:
        InputError: They are no floats of 8-bit images.
    """
    if not np.issubdtype(np.asarray(x).dtype, np.floating):
        raise InputError(f"expected images of floats in [0, 1], got {np.asarray(x).dtype}")
    levels = np.asarray(x, np.float64) * GREY_LEVELS
    whole = np.rint(levels)
    is_close, is_in_range = np.abs(levels - whole) <= _CLOSE, (whole >= 0) & (whole <= GREY_LEVELS)
    if not np.all(is_close & is_in_range):  # NaN fails too
        raise InputError("expected 8-bit images divided by 255, of which certificates speak; round x to them first")
    return whole.astype(np.uint8)
