"""Bring grey images to the size and the channels that a network asks for."""

import numpy as np

from cnn_jax.errors import UserError
from cnn_jax.types import ImageShape

MAX_PADDING = 4  # pixels a side; LeCun et al. 1998 put 28x28 into 32x32, that is 2


def check_shape(shape: ImageShape) -> None:
    """Raise ``UserError`` unless ``shape`` is (height, width, 1 or 3), sizes at least 1."""
    height, width, channels = shape
    if height < 1 or width < 1 or channels not in (1, 3):
        raise UserError(
            f"images of shape {height}x{width}x{channels} can't be made;"
            " height and width must be at least 1 and channels 1 (grey) or 3 (colour)"
        )


def resize_grey(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize grey images, bilinear; unequal factors stretch them.

    Args:
        images: uint8 [N, H, W].
        height: pixels of the result.
        width: pixels of the result.

    Returns:
        uint8 [N, height, width]. Where it gets smaller, Pillow widens the filter
        (antialias); images that have this size already are returned as they are.
    """
    from PIL import Image

    if images.shape[1:] == (height, width):
        return images
    resized = np.zeros((len(images), height, width), np.uint8)
    for index, image in enumerate(images):
        scaled = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        resized[index] = np.asarray(scaled)
    return resized


def pad_grey(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """Put grey images, uint8 [N, H, W], into the middle of black ones.

    An odd pixel goes below or to the right.

    Returns:
        uint8 [N, height, width].
    """
    rows, columns = height - images.shape[1], width - images.shape[2]
    if rows < 0 or columns < 0:
        raise ValueError(f"{images.shape[1:]} does not fit into {height}x{width}")
    top, left = rows // 2, columns // 2
    return np.pad(images, ((0, 0), (top, rows - top), (left, columns - left)))


def with_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Turn grey images, uint8 [N, H, W], into [N, H, W, channels] by repeating them."""
    return np.repeat(images[..., None], channels, axis=3)


def fit_grey(images: np.ndarray, shape: ImageShape) -> np.ndarray:
    """Bring small grey images to a shape, as those of MNIST are.

    They are put into the middle of a black frame where height and width are those of the
    images or up to 8 pixels more (at most ``MAX_PADDING`` a side), and resized bilinearly
    to anything else; three channels repeat the grey one.

    Args:
        images: uint8 [N, H, W].
        shape: (height, width, channels) of the result.

    Returns:
        uint8 [N, height, width, channels].
    """
    check_shape(shape)
    height, width, channels = shape
    more = (height - images.shape[1], width - images.shape[2])
    fit = pad_grey if all(0 <= m <= 2 * MAX_PADDING for m in more) else resize_grey
    return with_channels(fit(images, height, width), channels)
