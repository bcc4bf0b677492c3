"""Convolution as a product of discrete Fourier transforms.

Source:
    Kondor, Deep Learning (lecture), "The Fast Fourier Transform" and "Convolution
    theorem". On a torus of N x N pixels the transform is
    F(k) = sum over x of f(x) exp(-2 pi i k x / N); the slide leaves out the division by N.

On an N x N image it costs O(N^2 log N) whatever the kernel's size; the sums of
``kernels/convolution.py`` cost N^2 times the kernel's pixels.
"""

import jax.numpy as jnp
from jax import Array

from cnn_jax.kernels.convolution import check_kernel


def circular_convolve(f: Array, g: Array) -> Array:
    """Return the convolution of two images on a torus: DFT(f * g) = DFT(f) DFT(g).

    Args:
        f: real, [..., H, W].
        g: real, the same shape.
    """
    product = jnp.fft.rfft2(f) * jnp.fft.rfft2(g)
    return jnp.fft.irfft2(product, s=f.shape[-2:])


def fourier_cross_correlate(
    images: Array, kernel: Array, *, stride: int = 1, padding: int = 0
) -> Array:
    """Return what ``convolution.cross_correlate`` does, through the transforms.

    The kernel's transform is conjugated. Both are filled up with zeros to the size of the
    padded image: what goes around the torus reaches only places where the kernel does not
    fit, which are cut off.

    Args:
        images: [N, H, W, C].
        kernel: [h, w, C, features].
        stride: step in pixels.
        padding: zeros on each side in pixels; edge - 1 of them give the full result.

    Raises:
        WindowError: the kernel is larger than the padded image.
        ValueError: the channels differ.
    """
    check_kernel(images, kernel, stride, padding)
    margin = (padding, padding)
    padded = jnp.pad(images, ((0, 0), margin, margin, (0, 0)))
    size = padded.shape[1:3]
    image_spectrum = jnp.fft.rfft2(padded, axes=(1, 2))
    kernel_spectrum = jnp.fft.rfft2(kernel, s=size, axes=(0, 1))
    product = jnp.einsum(
        "nhwc,hwcf->nhwf", image_spectrum, kernel_spectrum.conj(), precision="highest"
    )
    everywhere = jnp.fft.irfft2(product, s=size, axes=(1, 2))
    rows, columns = (n - k + 1 for n, k in zip(size, kernel.shape[:2], strict=True))
    return everywhere[:, :rows:stride, :columns:stride]


def fourier_convolve(
    images: Array, kernel: Array, *, stride: int = 1, padding: int = 0
) -> Array:
    """Return what ``convolution.convolve`` does, through the transforms.

    Args and errors as of ``fourier_cross_correlate``.
    """
    turned = kernel[::-1, ::-1]
    return fourier_cross_correlate(images, turned, stride=stride, padding=padding)
