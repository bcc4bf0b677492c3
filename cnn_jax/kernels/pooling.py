"""Maximum, mean and Euclidean norm of sliding windows, channels last."""

from collections.abc import Callable
from functools import reduce

import jax.numpy as jnp
from jax import Array

from cnn_jax.maths.geometry import WindowError, window_padding


def window_views(
    x: Array, size: int, stride: int, padding: int = 0, *, ceil: bool = False, fill: float
) -> list[Array]:
    """Return the ``size * size`` strided views whose k-th entries form a window.

    Args:
        x: features, [N, H, W, C].
        size: window edge in pixels.
        stride: step in pixels.
        padding: pixels on each side.
        ceil: the last window may hang over the end (``maths.geometry.output_size``).
        fill: value of the pixels outside.

    Raises:
        WindowError: the window is larger than the padded input, or padding alone.
    """
    x = _pad(x, size, stride, padding, ceil=ceil, fill=fill)
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
    views = window_views(x, size, stride, padding, ceil=ceil, fill=-jnp.inf)
    return _fold(jnp.maximum, views)


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
    views = window_views(x, size, stride, padding, fill=0.0)
    return _fold(jnp.add, views) / (size * size)


def l2_pool(x: Array, size: int, stride: int, padding: int = 0) -> Array:
    """Return the root of the sum of squares of each window; its gradient at 0 is 0.

    Some define it with the mean of squares: that is this divided by ``size``.

    Args:
        x: features, [N, H, W, C].
        size: window edge in pixels.
        stride: step in pixels.
        padding: pixels of zero on each side.

    Raises:
        WindowError: the window is larger than the padded input, or padding alone.
    """
    views = window_views(x, size, stride, padding, fill=0.0)
    squares = _fold(jnp.add, [jnp.square(view) for view in views])
    # The root has no derivative at 0; where it isn't used, it must not be infinite.
    positive = squares > 0.0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squares, 1.0)), 0.0)
