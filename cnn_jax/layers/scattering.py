"""The scattering transform: a convolutional network whose filters are wavelets.

Source:
    Mallat. Group Invariant Scattering. Communications on Pure and Applied Mathematics
    65(10), 2012. Bruna and Mallat. Invariant Scattering Convolution Networks. IEEE PAMI
    35(8), 2013, Section 2. With phi a low pass of 2^J pixels and psi the wavelets of
    ``maths/wavelets.py``, of octave j and angle l::

        S x = {x * phi, |x * psi_1| * phi, ||x * psi_1| * psi_2| * phi},  j_1 < j_2 < J

    Nothing is learned. The result is stable to small deformations, and changes the less
    under a shift the larger J is.

Convolutions are products of discrete Fourier transforms, so the image is a torus. It is
made larger by 2^J pixels on each side, its own mirror image (the border pixel twice),
which are cut off again. |x * psi_1| at octave j changes slowly, and is computed at each
2^j-th pixel only: its spectrum is folded before it is transformed back. Those values are
exact; what is lost is that the next filter takes their sum for that of all pixels. A
coefficient belongs to the middle of its 2^J x 2^J pixels, so the grid is that of the image
turned or mirrored, too (Kymatio samples at their first pixel).

The coefficients x * phi and so on at all pixels do not expand distances: see
``filter_bank``. Sampled, each stands for 4^J pixels: 2^J ||S x - S y|| is at most about
1.04 ||x - y||, because phi is not quite sampled without loss (the largest ratios that
gradient ascent found: 1.018 for J = 2, 1.033 for J = 3, L = 8).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnn_jax.maths.geometry import WindowError
from cnn_jax.maths.wavelets import (
    coarser,
    filter_bank,
    frequencies,
    gaussian_line,
    kept_frequencies,
    low_pass_deviation,
)
from cnn_jax.types import Features

Path = tuple[tuple[int, int], ...]
"""The wavelets (j, l) that an image went through, in order."""


@dataclass(frozen=True)
class Scattering:
    """The transform, a function of images; the fields are the paper's J, L and order.

    Attributes:
        J: octaves; the maps have 1 / 2^J of the height and width of the images.
        L: angles of the wavelets, pi / L apart.
        order: wavelets in the longest path: 0, 1 or 2.
        oversampling: octaves by which maps are sampled more finely than their wavelet
            asks for; J gives the values without any loss, for several times the work.

    Raises:
        ValueError: a field out of its range.
    """

    J: int
    L: int = 8
    order: int = 2
    oversampling: int = 0

    def __post_init__(self) -> None:
        for name, least in (("J", 1), ("L", 1), ("oversampling", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(
                    f"{name} = {value}; a whole number of at least {least} is needed"
                )
        if self.order not in (0, 1, 2):
            raise ValueError(f"order = {self.order} is not one of 0, 1, 2")

    @property
    def paths(self) -> tuple[Path, ...]:
        """The path of each channel: 1 + J L + L^2 J (J - 1) / 2 of them for order 2."""
        wavelets = [(j, angle) for j in range(self.J) for angle in range(self.L)]
        paths: list[Path] = [()]
        if self.order >= 1:
            paths += [(first,) for first in wavelets]
        if self.order == 2:
            paths += [(a, b) for a in wavelets for b in wavelets if a[0] < b[0]]
        return tuple(paths)

    def __call__(self, images: Features) -> Features:
        """Return the coefficients, [N, H / 2^J, W / 2^J, C paths], in the images' type.

        Channels are in the order of ``paths``, all of image channel 0 first. They are
        computed in float32 at least; one first wavelet is followed at a time, which takes
        a few times N C L / 4 padded images of memory.

        Args:
            images: [N, H, W, C].

        Raises:
            ValueError: images of another rank.
            WindowError: 2^J does not divide height and width.
        """
        if images.ndim != 4:
            raise ValueError(f"input of shape {images.shape}; [N, H, W, C] is needed")
        rows, height, width, channels = images.shape
        step = 2**self.J
        if height % step or width % step:
            raise WindowError(
                f"2^J = {step} must divide the height and the width of the image; "
                f"it has {height} x {width} pixels"
            )
        wide = images.astype(jnp.promote_types(images.dtype, jnp.float32))
        x = jnp.moveaxis(wide, -1, 1).reshape(rows * channels, height, width)
        y = self._transform(_on_both_axes(partial(_mirror_matrix, margin=step), x))
        y = y.reshape(-1, rows, channels, height // step, width // step)
        y = y.transpose(1, 3, 4, 2, 0).reshape(rows, *y.shape[-2:], -1)
        return y.astype(images.dtype)

    def _transform(self, x: Array) -> Array:
        """Return the coefficients of padded images [N, H, W] as [paths, N, h, w]."""
        bank = filter_bank((x.shape[1], x.shape[2]), self.J, self.L)
        wavelets = np.asarray(bank.wavelets, x.dtype)
        spectrum = jnp.fft.fft2(x)

        def follow(wavelet: Array, j: int) -> Array:
            """Return the coefficients of one first wavelet and of all second ones."""
            first = _modulus(spectrum, wavelet[None], self._sampled(j))
            paths = [self._low_pass(first, j)[None]]
            if self.order == 2 and j + 1 < self.J:
                inner = jnp.fft.fft2(first)[None]
                for k in range(j + 1, self.J):
                    filters = coarser(wavelets[k], self._sampled(j))[:, None]
                    octaves = self._sampled(k) - self._sampled(j)
                    second = _modulus(inner, jnp.asarray(filters), octaves)
                    paths.append(self._low_pass(second, k))
            return jnp.concatenate(paths)

        firsts, seconds = [self._low_pass(x, 0)[None]], []
        for j in range(self.J if self.order else 0):
            # [L, 1 + second wavelets, N, h, w]; a loop, so that memory stays small.
            y = lax.map(partial(follow, j=j), jnp.asarray(wavelets[j]))
            firsts.append(y[:, 0])
            seconds.append(y[:, 1:].reshape(-1, *y.shape[2:]))
        return jnp.concatenate(firsts + seconds)

    def _sampled(self, j: int) -> int:
        """Return the octaves by which the map of a wavelet is subsampled."""
        return max(j - self.oversampling, 0)

    def _low_pass(self, x: Array, j: int) -> Array:
        """Return x * phi at the middle of each 2^J x 2^J pixels, the margin cut off."""
        matrix = partial(_low_pass_matrix, octaves=self.J, done=self._sampled(j))
        return _on_both_axes(matrix, x)


def _modulus(spectrum: Array, wavelet: Array, octaves: int) -> Array:
    """Return |x * psi| at each 2^octaves-th pixel.

    Args:
        spectrum: transform of x, [..., H, W].
        wavelet: transform of psi, [..., H, W].
        octaves: of subsampling.
    """
    parts = 2**octaves
    height, width = (size // parts for size in spectrum.shape[-2:])
    blocks = [
        (..., slice(a * height, (a + 1) * height), slice(b * width, (b + 1) * width))
        for a in range(parts)
        for b in range(parts)
    ]
    # Keeping each 2^octaves-th pixel adds up the frequencies that become one.
    folded = sum(spectrum[block] * wavelet[block] for block in blocks)
    return jnp.abs(jnp.fft.ifft2(folded / parts**2))


def _on_both_axes(matrix: Callable[[int], np.ndarray], x: Array) -> Array:
    """Return A x B^T for each image of x, [..., H, W], with A and B made for H and W."""
    rows, columns = (jnp.asarray(matrix(size), x.dtype) for size in x.shape[-2:])
    # Not in the shortened float32 of graphics processors.
    return jnp.einsum(
        "oi,...ij,pj->...op", rows, x, columns, precision=lax.Precision.HIGHEST
    )


@lru_cache(maxsize=32)
def _mirror_matrix(size: int, margin: int) -> np.ndarray:
    """Return the matrix [size + 2 margin, size] that adds its mirror images to a line.

    The first and the last pixel of the line are mirrored too.
    """
    return np.pad(np.eye(size), ((margin, margin), (0, 0)), mode="symmetric")


@lru_cache(maxsize=32)
def _low_pass_matrix(size: int, octaves: int, done: int) -> np.ndarray:
    """Return the matrix of phi at the middle of each 2^J pixels, the margin cut off.

    phi is a product of two lines, so such a matrix on each side does it.

    Args:
        size: pixels of the line, already subsampled by ``done``.
        octaves: J.
        done: octaves.
    """
    full, step = size << done, 2**octaves
    kept = kept_frequencies(full, done)
    line = gaussian_line(full, low_pass_deviation(octaves))[kept]
    # In pixels of the full line; the margin is one step wide.
    middles = np.arange(step, full - step, step) + (step - 1) / 2
    at, of = (
        np.exp(1j * np.outer(places, frequencies(full)[kept]))
        for places in (middles, 2**done * np.arange(size))
    )
    return np.asarray((at * line @ of.conj().T).real / size)
