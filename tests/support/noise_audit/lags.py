"""Autocorrelations at a million lags, along the elements of a row, along draws and along images."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from purecert.engine.noise.table import smoothing_noise
from support.noise_audit.finding import Finding, largest
from support.noise_audit.law import clipped_law
from support.noise_audit.source import NoiseSource
from support.noise_audit.views import views

_SIGMA = 0.25
_LENGTH = 1 << 21
_LAGS = 1 << 20


def lag_findings(source: NoiseSource, *, seed: int, rounds: int = 1) -> list[Finding]:
    """Return the largest autocorrelation of values, of signs, and of being beyond 2 sigma, in each direction."""
    law = clipped_law(smoothing_noise(_SIGMA))
    weights = (rounds * (_LENGTH - np.arange(1, _LAGS + 1))) ** 0.5
    found = []
    for name, sequence in _SEQUENCES.items():
        sums: dict[str, NDArray[np.float64]] = {}
        for number in range(rounds):
            for view in views(sequence(source, seed, number), law):
                products = _products(view.x - np.float32(view.mean)) / view.variance
                sums[view.name] = sums.get(view.name, 0) + products
        found += [
            largest(f"along {name}: correlation of {view}, {_LAGS:,} lags", total / weights, rounds * _LENGTH)
            for view, total in sums.items()
        ]
    return found


def _elements(source: NoiseSource, seed: int, number: int) -> NDArray[np.int16]:
    return source.row(_SIGMA, _LENGTH, seed=seed, image=1, phase=1, draw=number)


def _draws(source: NoiseSource, seed: int, number: int) -> NDArray[np.int16]:
    table = smoothing_noise(_SIGMA)
    return source.rows(table, [(number, 1, 2**31, _LENGTH)], 1, seed=seed).reshape(-1)


def _images(source: NoiseSource, seed: int, number: int) -> NDArray[np.int16]:
    table = smoothing_noise(_SIGMA)
    return source.rows(table, [(image, 0, number, 1) for image in range(_LENGTH)], 1, seed=seed).reshape(-1)


_SEQUENCES: Mapping[str, Callable[[NoiseSource, int, int], NDArray[np.int16]]] = {
    "elements": _elements,
    "draws": _draws,
    "images": _images,
}


def _products(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the sum of x[i] x[i + lag] for every lag of 1 to a million."""
    spectrum = fft.rfft(x, 2 * x.size)  # in single precision: off by less than a thousandth of a deviation
    return fft.irfft(spectrum.real**2 + spectrum.imag**2)[1 : _LAGS + 1]
