"""Where crops lie, cutting them, and the mean of what a network says of them."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.data.preprocessing import apply_preprocessing
from cnn_jax.evaluation.network import Network
from cnn_jax.evaluation.resizing import Size
from cnn_jax.types import Images, Pixels

Place = tuple[int, int]
"""Top and left pixel of a crop."""


def size_of(images: Any) -> Size:
    """Return height and width of images [..., H, W, C]."""
    height, width = images.shape[-3:-1]
    return height, width


def middle(size: int, crop: int) -> int:
    """Return where the central ``crop`` of ``size`` pixels begins.

    Where a pixel is left over, halves go to the even number, as torchvision rounds them.
    """
    return round((size - crop) / 2)


def centre(size: Size, crop: Size) -> Place:
    """Return the place of the central crop."""
    return middle(size[0], crop[0]), middle(size[1], crop[1])


def corners_and_centre(size: Size, crop: Size) -> tuple[Place, ...]:
    """Return the places of five crops: four corners, row by row, and the centre."""
    bottom, right = size[0] - crop[0], size[1] - crop[1]
    return (0, 0), (0, right), (bottom, 0), (bottom, right), centre(size, crop)


def regular_grid(size: Size, crop: Size, count: int) -> tuple[Place, ...]:
    """Return ``count`` x ``count`` places at equal distances, row by row.

    The first and the last touch the borders; distances are rounded to whole pixels.

    Args:
        size: of the image.
        crop: of the crops.
        count: along one axis, at least 2.
    """
    tops, lefts = (
        [round(i * (length - edge) / (count - 1)) for i in range(count)]
        for length, edge in zip(size, crop, strict=True)
    )
    return tuple((top, left) for top in tops for left in lefts)


def three_squares(size: Size, square: Size) -> tuple[Place, ...]:
    """Return the places of the left, the central and the right square.

    Of a portrait, the top, the central and the bottom one; of a square, three times the
    same.
    """
    return (0, 0), centre(size, square), (size[0] - square[0], size[1] - square[1])


def cut(images: Any, places: Sequence[Place], crop: Size) -> Array:
    """Return crops of images [N, H, W, C]: [N, places, height, width, C].

    Raises:
        ValueError: one does not lie within the images.
    """
    (rows, columns), (height, width) = size_of(images), crop
    for top, left in places:
        if min(top, left) < 0 or top + height > rows or left + width > columns:
            raise ValueError(
                f"a crop of {height} x {width} pixels at {(top, left)} does not lie within "
                f"images of {rows} x {columns}"
            )
    size = (images.shape[0], height, width, images.shape[3])

    def one(place: Array) -> Array:
        return lax.dynamic_slice(images, (0, place[0], place[1], 0), size)

    # One gather: it compiles in no time for 150 places, and runs faster than 150 slices.
    return jax.vmap(one, out_axes=1)(jnp.asarray(places, jnp.int32))


def mirrored(images: Array) -> Array:
    """Return images [..., H, W, C], left and right exchanged."""
    return images[..., ::-1, :]


def log_probabilities(network: Network, pixels: Pixels | Images) -> Array:
    """Return the logarithm of the softmax of the class scores, float32 [N, classes].

    Args:
        network: a classifier.
        pixels: uint8, or floating in [0, 1], of the network's input size.

    Raises:
        ValueError: the output is not one score a class.
    """
    inputs = apply_preprocessing(network.preprocessing, pixels)
    scores = network.model.apply(network.variables, inputs, train=False)
    if scores.ndim != 2:
        raise ValueError(
            f"the network's output has shape {scores.shape[1:]} for each image; class "
            f"scores [classes] are needed"
        )
    return jax.nn.log_softmax(scores.astype(jnp.float32))


def mean_probability(logs: Array, axis: int) -> Array:
    """Return the logarithm of the mean of probabilities, given their logarithms."""
    return jax.nn.logsumexp(logs, axis=axis) - math.log(logs.shape[axis])


def mean_over_crops(network: Network, crops: Pixels | Images) -> Array:
    """Return the log of the mean softmax over crops of an image and their reflections.

    Args:
        network: a classifier.
        crops: [N, crops, H, W, C], of the network's input size; uint8, or floating in
            [0, 1].

    Returns:
        float32 [N, classes].
    """
    both = jnp.concatenate([crops, mirrored(crops)], axis=1)
    logs = log_probabilities(network, both.reshape(-1, *both.shape[2:]))
    return mean_probability(logs.reshape(*both.shape[:2], -1), axis=1)
