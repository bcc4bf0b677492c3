"""Maximum and mean over sliding windows, channels last."""

from collections.abc import Callable
from functools import reduce

import jax.numpy as jnp
from jax import Array

from cnn_jax.maths.geometry import WindowError, window_padding


def _windows(x: Array, size: int, stride: int) -> list[Array]:
    """Return the ``size * size`` strided views whose k-th entries form a window."""
    height = (x.shape[1] - size) // stride + 1
    width = (x.shape[2] - size) // stride + 1
    return [
        x[
            :,
            i : i + stride * (height - 1) + 1 : stride,
            j : j + stride * (width - 1) + 1 : stride,
        ]
        for i in range(size)
        for j in range(size)
    ]


def _pad(
    x: Array, size: int, stride: int, padding: int, *, ceil: bool, fill: float
) -> Array:
    if padding >= size:
        raise WindowError(
            f"padding {padding} must be smaller than the window of {size}: a window of "
            f"padding alone has no value"
        )
    rows = window_padding(x.shape[1], size, stride, padding, ceil=ceil)
    columns = window_padding(x.shape[2], size, stride, padding, ceil=ceil)
    return jnp.pad(x, ((0, 0), rows, columns, (0, 0)), constant_values=fill)


def _fold(combine: Callable[[Array, Array], Array], views: list[Array]) -> Array:
    return reduce(combine, views)


def max_pool(
    x: Array, size: int, stride: int, padding: int = 0, *, ceil: bool = False
) -> Array:
    """Return the maximum of each window; padding never wins.

    Args:
        x: features, [N, H, W, C].
        size: window edge in pixels.
        stride: step in pixels.
        padding: pixels of minus infinity on each side.
        ceil: the last window may hang over the end (``maths.geometry.output_size``).

    Raises:
        WindowError: the window is larger than the padded input, or padding alone.
    """
    padded = _pad(x, size, stride, padding, ceil=ceil, fill=-jnp.inf)
    return _fold(jnp.maximum, _windows(padded, size, stride))


def average_pool(x: Array, size: int, stride: int, padding: int = 0) -> Array:
    """Return the mean of each window; padding counts as zeros, as in Caffe.

    Args:
        x: features, [N, H, W, C].
        size: window edge in pixels.
        stride: step in pixels.
        padding: pixels of zero on each side.

    Raises:
        WindowError: the window is larger than the padded input, or padding alone.
    """
    padded = _pad(x, size, stride, padding, ceil=False, fill=0.0)
    return _fold(jnp.add, _windows(padded, size, stride)) / (size * size)
