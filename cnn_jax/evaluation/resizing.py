"""Bringing one image to the size that a protocol asks for: on the host, with Pillow.

No paper says how it interpolates. Here it is bilinear, and the filter is widened where an
image gets smaller (antialias), as in torchvision and as in ``data/decoding.py``.
"""

from typing import Literal

import numpy as np

from cnn_jax.types import ImageShape

Interpolation = Literal["bilinear", "nearest"]
Size = tuple[int, int]
"""Height and width in pixels."""

PRINTED_INPUT = 224
"""Pixels of the network for which the papers print their protocols."""

SAME_IMAGES = range(221, 232)
"""Inputs that are cut from images of the printed sizes, although they are not of 224
pixels: 227 (AlexNet; its paper prints 224), 221 and 231 (OverFeat, Section 3.1)."""


def scaled(pixels: int, input_shape: ImageShape) -> int:
    """Return a printed side of an image for a network of another input size.

    256 pixels become 37 for a network of 32 x 32, and 342 for one of 299 x 299, which is
    what torchvision takes for Inception v3.

    Args:
        pixels: as printed, for a network of 224 x 224 pixels.
        input_shape: of the network; its shorter side counts.

    Returns:
        At least that shorter side, as the network's input must fit in.
    """
    edge = min(input_shape[:2])
    side = pixels if edge in SAME_IMAGES else round(pixels * edge / PRINTED_INPUT)
    return max(side, edge)


def box(side: int, input_shape: ImageShape) -> Size:
    """Return the ``side`` x ``side`` square, or its like for an input that is no square.

    Args:
        side: of the shorter side in pixels.
        input_shape: of the network, whose proportions the box has.
    """
    height, width, _ = input_shape
    edge = min(height, width)
    return round(side * height / edge), round(side * width / edge)


def cover(
    image: np.ndarray, size: Size, interpolation: Interpolation = "bilinear"
) -> np.ndarray:
    """Return ``image`` resized isotropically so that it just covers ``size``.

    For a square, its shorter side becomes the square's; the longer one is rounded down, as
    torchvision does. An image that covers it just so is returned untouched.

    Args:
        image: uint8 [h, w, C] of any size; small ones are enlarged.
        size: height and width in pixels.
        interpolation: ``bilinear`` with antialias, or ``nearest``.

    Raises:
        ValueError: not uint8 [h, w, C], or without pixels.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or not image.size:
        raise ValueError(
            f"an image is {image.dtype} {list(image.shape)}; uint8 [height, width, "
            f"channels] with at least one pixel is needed"
        )
    (height, width), (rows, columns) = size, image.shape[:2]
    if height * columns >= width * rows:  # wider than the box, or of its proportions
        width = height * columns // rows
    else:
        height = width * rows // columns
    return _resized(image, (height, width), interpolation)


def _resized(image: np.ndarray, size: Size, interpolation: Interpolation) -> np.ndarray:
    from PIL import Image

    if image.shape[:2] == size:
        return image
    height, width = size
    how = Image.Resampling[interpolation.upper()]
    channels = [
        np.asarray(Image.fromarray(channel).resize((width, height), how))
        for channel in np.ascontiguousarray(image.transpose(2, 0, 1))
    ]
    return np.stack(channels, axis=-1)
