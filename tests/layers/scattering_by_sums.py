"""The scattering transform written out: wavelets and convolutions as sums over pixels.

Nothing is shared with the package: the wavelets are made in space, a convolution is a
matrix, and no fast Fourier transform is used.
"""

import numpy as np


def _gaussian_wave(size, deviation, slant, angle, frequency):
    """A wave under a Gaussian of integral 1, summed over the periods of the torus."""
    total = np.zeros((size, size), complex)
    rows, columns = np.mgrid[:size, :size]
    for a in range(-3, 4):
        for b in range(-3, 4):
            x, y = columns + a * size, -(rows + b * size)
            along = np.cos(angle) * x + np.sin(angle) * y
            across = -np.sin(angle) * x + np.cos(angle) * y
            bell = np.exp(-(along**2 + (slant * across) ** 2) / (2 * deviation**2))
            wave = np.exp(1j * frequency * along)
            total += slant / (2 * np.pi * deviation**2) * bell * wave
    return total


def _morlet(size, j, angle, slant):
    about = (size, 0.8 * 2**j, slant, angle)
    wave, bell = _gaussian_wave(*about, 0.75 * np.pi / 2**j), _gaussian_wave(*about, 0.0)
    return wave - wave.sum() / bell.sum() * bell


def _fourier(size):
    k = np.arange(size) - size // 2  # frequencies -size / 2 ... size / 2 - 1
    return k, np.exp(-2j * np.pi * np.outer(k, np.arange(size)) / size)


def _coarse(kernel, factor):
    """The kernel for each ``factor``-th pixel: its transform, cut to fewer frequencies."""
    size = len(kernel)
    k, matrix = _fourier(size)
    small, few = _fourier(size // factor)
    kept = np.isin(k, small)
    spectrum = (matrix @ kernel @ matrix.T)[kept][:, kept]
    return few.conj().T @ spectrum @ few.conj() / (size // factor) ** 2


def _convolve(x, kernel):
    apart = np.subtract.outer(np.arange(len(x)), np.arange(len(x))) % len(x)
    everything = kernel[apart[:, None, :, None], apart[None, :, None, :]]
    return np.einsum("ijkl,kl->ij", everything, x)


def _at_middles(x, low_pass, factor, margin):
    """x * phi between pixels: its trigonometric polynomial at the middle of each block.

    Args:
        x: map of the torus, of which each ``factor``-th pixel is kept.
        low_pass: kernel for those.
        factor: see above.
        margin: 2^J, in original pixels.
    """
    size = len(x)
    k, matrix = _fourier(size)
    middles = np.arange(margin, size * factor - margin, margin) + (margin - 1) / 2
    waves = np.exp(2j * np.pi * np.outer(middles, k) / (size * factor)) / size
    waves[:, 0] = waves[:, 0].real  # half of the highest frequency, half of its negative
    return (waves @ (matrix @ _convolve(x, low_pass) @ matrix.T) @ waves.T).real


def scattering_by_sums(image, octaves, angles, *, subsample):
    """Return [h, w, paths]; J = 2 or less, whose wavelets need no normalisation."""
    step = 2**octaves
    x = np.pad(image, step, mode="symmetric")
    low = _gaussian_wave(len(x), 0.8 * 2 ** (octaves - 1), 1.0, 0.0, 0.0).real
    low /= low.sum()
    wavelets = [
        [_morlet(len(x), j, np.pi * i / angles, 4 / angles) for i in range(angles)]
        for j in range(octaves)
    ]

    def kept(j):
        return 2**j if subsample else 1

    def coefficients(x, j):
        return _at_middles(x, _coarse(low, kept(j)), kept(j), step)

    firsts, seconds = [coefficients(x, 0)], []
    for j in range(octaves):
        for wavelet in wavelets[j]:
            first = abs(_convolve(x, wavelet))[:: kept(j), :: kept(j)]
            firsts.append(coefficients(first, j))
            for k in range(j + 1, octaves):
                by = kept(k) // kept(j)
                for other in wavelets[k]:
                    second = abs(_convolve(first, _coarse(other, kept(j))))[::by, ::by]
                    seconds.append(coefficients(second, k))
    return np.stack(firsts + seconds, -1)
