"""Purification of a batch whose images have noise of different levels, as training needs."""

import torch

from purecert.train.purifiers.base import OneStepPurifier, Purifier, apply_steps
from purecert.train.shapes import Image, PixelNoise


def purify_each(purifier: Purifier, noisy: Image, sigmas: PixelNoise) -> Image:
    """Return each image as ``purifier`` cleans it at its own sigma; gradients pass.

    A purifier of one step is called once for the batch, another once for each sigma.

    Raises:
        ValueError: The purifier needs noise of its own.
        InputError: It was not made for such noise.
    """
    if isinstance(purifier, OneStepPurifier):
        steps = {sigma: purifier.step(sigma) for sigma in set(sigmas.tolist())}
        clean = apply_steps(purifier.network, [steps[sigma] for sigma in sigmas.tolist()], noisy)
        return clean.clamp(-1, 1) if purifier.clips else clean
    clean = torch.empty_like(noisy)
    for sigma in sorted(set(sigmas.tolist())):
        if purifier.noise_inputs(sigma):
            raise ValueError("expected a purifier without noise of its own, as training draws none for it")
        rows = sigmas == sigma
        clean = clean.index_put((rows,), purifier(noisy[rows], sigma))
    return clean
