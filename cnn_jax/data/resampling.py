"""Resizing a window of one image whose place and size are drawn on the device.

The output has a fixed size, the window has not, so each output pixel takes a fixed number
of neighbours with weights that are computed: on a CPU that is four times as fast as
products with matrices of weights (``jax.image.scale_and_translate``).
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from cnn_jax.data.augmentation import Image


class Span(NamedTuple):
    """A part of one axis of an image, in pixels from its edge; all may be traced.

    Attributes:
        start: where it begins.
        length: its length, more than 0.
        first: first pixel that may be looked at.
        last: one more than the last such pixel.
    """

    start: Array | float
    length: Array | float
    first: Array | int
    last: Array | int


def cut_out(start: Array, length: Array) -> Span:
    """Return whole pixels that are cut out before they are resized."""
    return Span(start, length, start, start + length)


def resize_window(
    image: Image, rows: Span, columns: Span, size: tuple[int, int], shrink: float
) -> Image:
    """Resize a window, bilinear; where it shrinks, with antialias.

    The filter is a triangle that reaches one input pixel, or one output pixel where that
    is more, to either side: Pillow's ``BILINEAR``.

    Args:
        image: [H, W, C].
        rows: of the window.
        columns: of the window.
        size: height and width of the result.
        shrink: the most input pixels that an output pixel can stand for, on either axis;
            a number, because the number of neighbours follows from it.

    Returns:
        The window as [*size, C].
    """
    height, width, _ = image.shape
    neighbours = math.ceil(2 * max(shrink, 1.0))
    down, row_weights = _neighbours(rows, height, size[0], neighbours)
    across, column_weights = _neighbours(columns, width, size[1], neighbours)
    resized = jnp.zeros((1, 1, 1), image.dtype)
    for k in range(neighbours):
        taken = image.at[down[:, k]].get(mode="promise_in_bounds")
        resized = resized + row_weights[:, k, None, None] * taken
    result = jnp.zeros((1, 1, 1), image.dtype)
    for k in range(neighbours):
        taken = resized.at[:, across[:, k]].get(mode="promise_in_bounds")
        result = result + column_weights[None, :, k, None] * taken
    return result


def _neighbours(
    span: Span, size: int, count: int, neighbours: int
) -> tuple[Int[Array, "count neighbours"], Float[Array, "count neighbours"]]:
    """Return which pixels of an axis each of ``count`` new ones takes, and how much."""
    step = jnp.asarray(span.length, jnp.float32) / count
    reach = jnp.maximum(step, 1.0)
    # Pixel j lies at j + 1/2; here it lies at j.
    centre = span.start - 0.5 + (jnp.arange(count, dtype=jnp.float32) + 0.5) * step
    centre = centre[:, None]
    nearest = jnp.ceil(centre - reach).astype(jnp.int32) + jnp.arange(neighbours)[None]
    weights = jnp.maximum(1.0 - jnp.abs(nearest - centre) / reach, 0.0)
    allowed = (nearest >= span.first) & (nearest < span.last)
    weights = jnp.where(allowed, weights, 0.0)
    weights = weights / weights.sum(1, keepdims=True)
    return jnp.clip(nearest, 0, size - 1), weights
