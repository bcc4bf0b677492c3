"""The protocols that cut crops of the network's input size.

One image costs as many applications of the network as it has crops (``views``): a batch of
64 images is one of 9,216 crops, so the caller takes fewer images at once.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.data.preprocessing import to_unit_range
from cnn_jax.evaluation.network import Network
from cnn_jax.evaluation.resizing import Interpolation, Size, box, cover, scaled
from cnn_jax.evaluation.views import (
    centre,
    corners_and_centre,
    cut,
    log_probabilities,
    mean_over_crops,
    regular_grid,
    size_of,
    three_squares,
)
from cnn_jax.types import Pixels

Scales = tuple[np.ndarray, ...]
"""One uint8 image [h, w, C] for each scale."""


@dataclass(frozen=True)
class OneCrop:
    """The centre: short side to 256 pixels, the central 224 x 224.

    The rule of torchvision's pretrained weights, rounding included. An image that has the
    network's size already is passed on untouched.

    Attributes:
        side: of the image's short side in pixels; None for 256 and its like.
        interpolation: of the resizing.
    """

    side: int | None = None
    interpolation: Interpolation = "bilinear"

    def resize(self, network: Network, image: np.ndarray) -> Scales:
        """Return the central crop of an image of any size, uint8 [H, W, C].

        Raises:
            ValueError: ``side`` is smaller than the network's input, or no image.
        """
        shape = network.model.input_shape
        size = shape[:2]
        side = scaled(256, shape) if self.side is None else self.side
        if side < min(size):
            raise ValueError(
                f"side {side}: the network's input of {size[0]} x {size[1]} pixels does "
                f"not fit in; at least {min(size)} is needed"
            )
        if size_of(image) == size:
            return (image,)
        covered = cover(image, box(side, shape), self.interpolation)
        return (_central(covered, size),)

    def scores(self, network: Network, images: tuple[Pixels, ...]) -> Array:
        """Return log-probabilities [N, classes]."""
        return log_probabilities(network, images[0])


@dataclass(frozen=True)
class TenCrop:
    """Four corners, the centre and their reflections; the mean of the softmax.

    Krizhevsky et al. 2012. Section 2: the short side becomes 256 pixels and the central
    256 x 256 are cut out. Section 4.1: five crops of 224 x 224, four corners and the
    centre, and their horizontal reflections; "averaging the predictions made by the
    network's softmax layer on the ten patches". Their network takes 227 x 227 in fact
    (``models/alexnet.py``), cut from the same 256 x 256. It is the "standard 10-crop
    testing" of He et al. 2016, Section 3.4.

    Attributes:
        side: of the square in pixels, as printed.
    """

    side: int = 256

    def resize(self, network: Network, image: np.ndarray) -> Scales:
        """Return the central square of an image of any size, uint8 [side, side, C]."""
        shape = network.model.input_shape
        size = box(scaled(self.side, shape), shape)
        covered = cover(image, size)
        return (_central(covered, size),)

    @property
    def views(self) -> int:
        """Crops of an image."""
        return 10

    def crops(self, network: Network, images: tuple[Pixels, ...]) -> Array:
        """Return the five crops, uint8 [N, 5, H, W, C], not reflected."""
        crop = network.model.input_shape[:2]
        return cut(images[0], corners_and_centre(size_of(images[0]), crop), crop)

    def scores(self, network: Network, images: tuple[Pixels, ...]) -> Array:
        """Return log-probabilities [N, classes]: of the mean probability."""
        return mean_over_crops(network, self.crops(network, images))


@dataclass(frozen=True)
class FiftyCrop:
    """50 crops a scale, 150 over three: a 5 x 5 grid and its flips; the mean softmax.

    Simonyan and Zisserman 2015, Section 3.2: "50 crops per scale (5 x 5 regular grid with 2
    flips), for a total of 150 crops over 3 scales". Read as a grid over the whole image
    whose outermost crops touch its borders. Section 4.2: the class posteriors of the
    scales are averaged; Table 5 does this at Q = 256, 384 and 512 for networks trained with
    scales from 256 to 512. For a network trained at one scale S, Section 4.2 takes Q = S -
    32, S, S + 32: ``FiftyCrop(sides=(224, 256, 288))``.

    Attributes:
        sides: Q, the short side of the image in pixels at each scale, as printed.
        grid: crops along one axis.
    """

    sides: tuple[int, ...] = (256, 384, 512)
    grid: int = 5

    def resize(self, network: Network, image: np.ndarray) -> Scales:
        """Return the whole image, any size, at each scale."""
        return whole_image(network, image, self.sides)

    @property
    def views(self) -> int:
        """Crops of an image: 150."""
        return len(self.sides) * self.grid**2 * 2

    def crops(self, network: Network, images: tuple[Pixels, ...]) -> Array:
        """Return the 75 crops, uint8 [N, 75, H, W, C], not reflected."""
        crop = network.model.input_shape[:2]
        return jnp.concatenate(
            [
                cut(scale, regular_grid(size_of(scale), crop, self.grid), crop)
                for scale in images
            ],
            axis=1,
        )

    def scores(self, network: Network, images: tuple[Pixels, ...]) -> Array:
        """Return log-probabilities [N, classes]: of the mean probability."""
        return mean_over_crops(network, self.crops(network, images))


@dataclass(frozen=True)
class Crops144:
    """4 scales x 3 squares x 6 crops x 2 reflections; the mean of the softmax.

    Szegedy et al. 2015, Section 7: the shorter side becomes 256, 288, 320 and 352 pixels;
    of each the left, centre and right square (of a portrait: top, centre, bottom); of each
    square "the 4 corners and the center 224 x 224 crop as well as the square resized to
    224 x 224, and their mirrored versions"; "the softmax probabilities are averaged". The
    square is resized on the device, bilinear with antialias, and not rounded to whole
    pixel values.

    Attributes:
        sides: of the image's shorter side in pixels at each scale, as printed.
    """

    sides: tuple[int, ...] = (256, 288, 320, 352)

    def resize(self, network: Network, image: np.ndarray) -> Scales:
        """Return the whole image, any size, at each scale."""
        return whole_image(network, image, self.sides)

    @property
    def views(self) -> int:
        """Crops of an image: 144."""
        return len(self.sides) * 3 * 6 * 2

    def crops(self, network: Network, images: tuple[Pixels, ...]) -> Array:
        """Return the 72 crops, float32 [N, 72, H, W, C] in [0, 1], not reflected.

        For each scale: of the first square four corners and the centre, of the second, of
        the third; then the three squares resized.
        """
        shape = network.model.input_shape
        crop = shape[:2]
        found = []
        for side, scale in zip(self.sides, images, strict=True):
            square = box(scaled(side, shape), shape)
            squares = three_squares(size_of(scale), square)
            places = [
                (top + down, left + right)
                for top, left in squares
                for down, right in corners_and_centre(square, crop)
            ]
            whole = to_unit_range(cut(scale, squares, square))
            small = (*whole.shape[:2], *crop, whole.shape[-1])
            found += [
                to_unit_range(cut(scale, places, crop)),
                jax.image.resize(whole, small, "bilinear", antialias=True),
            ]
        return jnp.concatenate(found, axis=1)

    def scores(self, network: Network, images: tuple[Pixels, ...]) -> Array:
        """Return log-probabilities [N, classes]: of the mean probability."""
        return mean_over_crops(network, self.crops(network, images))


def whole_image(network: Network, image: np.ndarray, sides: tuple[int, ...]) -> Scales:
    """Return the image, uncropped, with its shorter side scaled to each of ``sides``.

    Args:
        network: whose input size scales the sides.
        image: uint8 [h, w, C] of any size.
        sides: in pixels, as printed.

    Raises:
        ValueError: no image.
    """
    shape = network.model.input_shape
    return tuple(cover(image, box(scaled(side, shape), shape)) for side in sides)


def _central(image: np.ndarray, size: Size) -> np.ndarray:
    top, left = centre(size_of(image), size)
    return image[top : top + size[0], left : left + size[1]]
