"""Two-dimensional convolution and cross-correlation, channels last.

The lectures' definitions, with f the image and g the kernel::

    (f * g)(x) = sum over y of f(x - y) g(y)          convolution
    (f o g)(x) = sum over y of f(x + y) g(y)          cross-correlation

Either is the other with a kernel turned by 180 degrees. What networks call convolution is
the cross-correlation.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.maths.geometry import output_size


def grouped_convolution(
    lhs: Array,
    rhs: Array,
    window_strides: Sequence[int],
    padding: Any,
    *,
    feature_group_count: int = 1,
    **options: Any,
) -> Array:
    """Return ``lax.conv_general_dilated``, with groups split apart on a CPU.

    XLA's CPU lowering of a grouped convolution is several times slower than one
    convolution a group (``benchmarks/``); the result is the same. Everywhere else the
    call is passed on.

    Args:
        lhs: images, [N, H, W, C].
        rhs: kernel, [h, w, C / groups, features].
        window_strides: of height and width.
        padding: as ``lax`` takes it.
        feature_group_count: groups; output channels of one group are neighbours.
        **options: handed to ``lax.conv_general_dilated``.
    """
    if feature_group_count == 1 or jax.default_backend() != "cpu":
        return lax.conv_general_dilated(
            lhs,
            rhs,
            window_strides,
            padding,
            feature_group_count=feature_group_count,
            **options,
        )
    inputs = jnp.split(lhs, feature_group_count, axis=-1)
    kernels = jnp.split(rhs, feature_group_count, axis=-1)
    return jnp.concatenate(
        [
            lax.conv_general_dilated(x, kernel, window_strides, padding, **options)
            for x, kernel in zip(inputs, kernels, strict=True)
        ],
        axis=-1,
    )


def cross_correlate(
    images: Array, kernel: Array, *, stride: int = 1, padding: int = 0
) -> Array:
    """Return the cross-correlation at the places where the kernel fits.

    Args:
        images: [N, H, W, C].
        kernel: [h, w, C, features].
        stride: step in pixels.
        padding: zeros on each side in pixels; edge - 1 of them give the full result.

    Returns:
        [N, rows, columns, features], sizes as ``maths.geometry.output_size`` says.

    Raises:
        WindowError: the kernel is larger than the padded image.
        ValueError: the channels differ.
    """
    check_kernel(images, kernel, stride, padding)
    return lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        # Not in the shortened float32 of graphics processors.
        precision=lax.Precision.HIGHEST,
    )


def convolve(images: Array, kernel: Array, *, stride: int = 1, padding: int = 0) -> Array:
    """Return the true convolution: the cross-correlation with the kernel turned around.

    Args and errors as of ``cross_correlate``.
    """
    return cross_correlate(images, kernel[::-1, ::-1], stride=stride, padding=padding)


def check_kernel(images: Array, kernel: Array, stride: int, padding: int) -> None:
    """Raise ``ValueError`` unless a kernel [h, w, C, features] fits [N, H, W, C]."""
    if images.ndim != 4 or kernel.ndim != 4 or images.shape[3] != kernel.shape[2]:
        raise ValueError(
            f"images of shape {images.shape} and a kernel of shape {kernel.shape}; "
            f"[N, H, W, C] and [h, w, C, features] are needed"
        )
    for size, window in zip(images.shape[1:3], kernel.shape[:2], strict=True):
        output_size(size, window, stride, padding)
