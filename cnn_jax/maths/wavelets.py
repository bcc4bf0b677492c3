"""The wavelets of the scattering transform, as functions of frequency.

Source:
    Bruna and Mallat. Invariant Scattering Convolution Networks. IEEE PAMI 35(8), 2013,
    Section 2.1: Morlet wavelets of deviation 0.8 and frequency 3 pi / 4, dilated by 2^j
    and rotated by pi l / L. The slant 4 / L (a wavelet is L / 4 times as long across its
    wave as along it) and the low pass of deviation 0.8 2^(J - 1) are those of the authors'
    program ScatNet (from memory).

The image is a torus of H x W pixels, a filter an array [H, W] of its discrete Fourier
transform, in the order of ``numpy.fft``. All filters are real and almost never negative.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

DEVIATION = 0.8
"""Of the envelope of the finest wavelet along its wave, in pixels."""
FREQUENCY = 0.75 * math.pi
"""Of the finest wavelet, in radians a pixel."""
_ALIASES = range(-2, 3)
"""Periods of frequency that sampling by pixels adds up; a Gaussian of 0.8 pixels has
fallen to 3e-6 one period away, to 2e-22 two away."""

Filter = Float[np.ndarray, "height width"]


class FilterBank(NamedTuple):
    """One low pass and J L wavelets, float64.

    Attributes:
        low_pass: [H, W], 1 at frequency 0.
        wavelets: [J, L, H, W], 0 at frequency 0.
    """

    low_pass: Filter
    wavelets: Float[np.ndarray, "scales angles height width"]


def frequencies(size: int) -> np.ndarray:
    """Return the frequencies of a line of pixels, [size], in radians a pixel."""
    return 2.0 * math.pi * np.fft.fftfreq(size)


def gaussian_line(size: int, deviation: float) -> np.ndarray:
    """Return the transform of a Gaussian of sum 1 on a ring of pixels, [size].

    Args:
        size: pixels.
        deviation: in pixels.
    """
    omega = frequencies(size)
    periods = 2.0 * math.pi * np.array(_ALIASES)[:, None]
    total = np.exp(-0.5 * np.square(deviation * (omega + periods))).sum(0)
    return np.asarray(total / total[0])


def low_pass_deviation(octaves: int) -> float:
    """Return the deviation of the low pass of a bank of J octaves, in pixels."""
    return DEVIATION * 2.0 ** (octaves - 1)


def morlet(shape: tuple[int, int], j: int, angle: float, slant: float) -> Filter:
    """Return a Morlet wavelet: a wave under a Gaussian, less what makes its mean 0.

    Args:
        shape: height and width of the torus in pixels.
        j: octave; 0 is the finest.
        angle: in which the wave runs, in radians, counter-clockwise from the x axis (to
            the right; y is up).
        slant: deviation of the Gaussian along the wave over that across it.
    """
    wave, envelope = (_gabor(shape, j, angle, slant, xi) for xi in (FREQUENCY, 0.0))
    return wave - wave[0, 0] / envelope[0, 0] * envelope


def _gabor(
    shape: tuple[int, int], j: int, angle: float, slant: float, frequency: float
) -> Filter:
    """Return a Gaussian moved to a frequency, in radians a pixel at octave 0."""
    total = np.zeros(shape)
    rows, columns = np.ix_(*map(frequencies, shape))
    for a in _ALIASES:
        for b in _ALIASES:
            x, y = columns + 2.0 * math.pi * a, -rows - 2.0 * math.pi * b
            along = math.cos(angle) * x + math.sin(angle) * y
            across = -math.sin(angle) * x + math.cos(angle) * y
            along = DEVIATION * (2.0**j * along - frequency)
            across = DEVIATION / slant * 2.0**j * across
            total += np.exp(-0.5 * (along**2 + across**2))
    return total


@lru_cache(maxsize=8)
def filter_bank(shape: tuple[int, int], octaves: int, angles: int) -> FilterBank:
    """Return the filters of a scattering transform; the arrays are read-only.

    With the paper's numbers and L = 8, ``littlewood_paley`` is nowhere above 1 for J of 1
    and 2, but reaches 1.02 for J = 3 and 1.05 for J = 4. So all wavelets are multiplied by
    one number, at most 1, that keeps it within 1: 1, 1, 0.990, 0.977 for J of 1 to 4. Each
    layer is then non-expansive.

    Args:
        shape: height and width of the torus in pixels.
        octaves: J.
        angles: L, pi / L apart.
    """
    low = np.outer(*(gaussian_line(n, low_pass_deviation(octaves)) for n in shape))
    turns = [math.pi * angle / angles for angle in range(angles)]
    wavelets = np.array(
        [[morlet(shape, j, turn, 4.0 / angles) for turn in turns] for j in range(octaves)]
    )
    power, free = _power(wavelets), 1.0 - np.square(low)
    some = power > 1e-12  # also leaves out frequency 0, where both are 0
    wavelets *= math.sqrt(min(1.0, (free[some] / power[some]).min()))
    for array in (low, wavelets):
        array.flags.writeable = False
    return FilterBank(low, wavelets)


def littlewood_paley(bank: FilterBank) -> Filter:
    """Return the energy that a bank keeps of a real image at each frequency.

    ``|phi(w)|^2 + 1/2 sum (|psi(w)|^2 + |psi(-w)|^2)``: Bruna and Mallat 2013, equation 3.
    Where it is nowhere above 1, the low pass and the wavelets together do not expand
    distances between images.
    """
    return np.square(bank.low_pass) + _power(bank.wavelets)


def _power(wavelets: np.ndarray) -> np.ndarray:
    squares = np.square(wavelets).sum((0, 1))
    return 0.5 * (squares + np.roll(squares[::-1, ::-1], 1, (0, 1)))


def kept_frequencies(size: int, octaves: int) -> np.ndarray:
    """Return where the frequencies stand that are left of a line's, [size / 2^octaves].

    Args:
        size: pixels of the line.
        octaves: each 2^octaves-th pixel is kept; 2^octaves divides the size.
    """
    left = size >> octaves
    return np.r_[0 : (left + 1) // 2, size - left // 2 : size]


def coarser(filters: np.ndarray, octaves: int) -> np.ndarray:
    """Return filters for an image of which each 2^octaves-th pixel is kept.

    The same function of frequency, on the frequencies that are left: a bound that holds at
    each frequency, as that of ``littlewood_paley``, still holds.

    Args:
        filters: [..., H, W].
        octaves: as in ``kept_frequencies``.
    """
    for axis in (-2, -1):
        filters = filters.take(kept_frequencies(filters.shape[axis], octaves), axis)
    return filters
