"""Cutting images that are kept larger than the network's input."""

from dataclasses import dataclass
from typing import Any

import jax

from cnn_jax.data.augmentation import Facts, Image
from cnn_jax.types import ImageShape, Key


@dataclass(frozen=True)
class RandomCrop:
    """Cut ``height`` x ``width`` pixels at a uniformly random place.

    Krizhevsky et al. 2012, Section 4.1 (224 of 256 pixels). Every place that lies wholly
    inside the image is equally likely.

    Attributes:
        height: of the cut image in pixels.
        width: of the cut image in pixels.
    """

    height: int
    width: int

    def fit(self, images: Any) -> Facts:  # noqa: ARG002
        """Return nothing: no facts of the training images are needed."""
        return ()

    def __call__(self, key: Key, image: Image, facts: Facts) -> Image:  # noqa: ARG002
        """Return an image of [height, width, C].

        Raises:
            ValueError: the image is smaller.
        """
        rows, columns = image.shape[0] - self.height, image.shape[1] - self.width
        if rows < 0 or columns < 0:
            raise ValueError(
                f"cannot cut {self.height} x {self.width} from {image.shape[:2]} pixels"
            )
        row_key, column_key = jax.random.split(key)
        start = (
            jax.random.randint(row_key, (), 0, rows + 1),
            jax.random.randint(column_key, (), 0, columns + 1),
            0,
        )
        size = (self.height, self.width, image.shape[2])
        return jax.lax.dynamic_slice(image, start, size)


def centre_crop(images: Any, shape: ImageShape) -> Any:
    """Return the central pixels of images [N, H, W, C], NumPy or JAX.

    Args:
        images: at least as large as ``shape``; untouched if of that size.
        shape: height, width, channels of the network's input.

    Raises:
        ValueError: the images are smaller.
    """
    height, width, _ = shape
    rows, columns = images.shape[1] - height, images.shape[2] - width
    if rows < 0 or columns < 0:
        raise ValueError(
            f"images of {images.shape[1:3]} are smaller than {(height, width)}"
        )
    top, left = rows // 2, columns // 2
    return images[:, top : top + height, left : left + width]
