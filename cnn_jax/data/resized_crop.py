"""Windows of random size, resized to the network's: two papers' ways.

Departures: both papers take windows of the whole image. Here they come from the image as
``Experiment.image_size`` keeps it, its central square; and a window that is smaller than
the network's input is enlarged from the pixels that were kept.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.data.augmentation import Facts, Image
from cnn_jax.data.resampling import Span, cut_out, resize_window
from cnn_jax.types import Key

TRIES = 10


class Window(NamedTuple):
    """A rectangle of whole pixels."""

    top: Array
    left: Array
    height: Array
    width: Array


@dataclass(frozen=True)
class RandomResizedCrop:
    """Cut a window of random area and shape at a random place and resize it.

    Szegedy et al. 2015, Section 6: 8 to 100 % of the area, "distributed evenly", with the
    aspect ratio "constrained to the interval [3/4, 4/3]". The paper does not say how the
    ratio is distributed, nor what happens to a window that does not fit. As torchvision
    has it: the ratio's logarithm is uniform, sides are rounded to pixels, ten windows are
    drawn and the first that fits is taken, at a uniformly random place (so areas above
    75 % of a square are rarer); if none fits, the largest central one. Bilinear, with
    antialias where it shrinks; nothing from outside of the window enters.

    Attributes:
        height: of the result in pixels.
        width: of the result in pixels.
        area: smallest and largest part of the image's area.
        aspect: smallest and largest width / height.
    """

    height: int
    width: int
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"cannot resize to {self.height} x {self.width} pixels")
        if not 0.0 < self.area[0] <= self.area[1] <= 1.0:
            raise ValueError(f"area {self.area} is not an interval in (0, 1]")
        if not 0.0 < self.aspect[0] <= self.aspect[1] < math.inf:
            raise ValueError(f"aspect {self.aspect} is not an interval of positive numbers")

    def fit(self, images: np.ndarray) -> Facts:  # noqa: ARG002
        """Return ``()``."""
        return ()

    def window(self, key: Key, height: int, width: int) -> Window:
        """Return the window for an image of ``height`` x ``width`` pixels."""
        area_key, aspect_key, place_key = jax.random.split(key, 3)
        low, high = self.area
        areas = low + (high - low) * jax.random.uniform(area_key, (TRIES,), jnp.float32)
        low, high = (math.log(ratio) for ratio in self.aspect)
        logarithms = low + (high - low) * jax.random.uniform(
            aspect_key, (TRIES,), jnp.float32
        )
        pixels, ratios = areas * (height * width), jnp.exp(logarithms)
        heights = jnp.round(jnp.sqrt(pixels / ratios)).astype(jnp.int32)
        widths = jnp.round(jnp.sqrt(pixels * ratios)).astype(jnp.int32)
        fits = (heights <= height) & (widths <= width) & (heights > 0) & (widths > 0)
        first, any_fits = jnp.argmax(fits), fits.any()
        largest = self._largest(height, width)
        tall = jnp.where(any_fits, heights[first], largest[0])
        wide = jnp.where(any_fits, widths[first], largest[1])
        room = jnp.stack([height - tall, width - wide])
        place = jax.random.randint(place_key, (2,), 0, room + 1, jnp.int32)
        top, left = jnp.where(any_fits, place, room // 2)
        return Window(top, left, tall, wide)

    def _largest(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the largest window of an allowed shape."""
        low, high = self.aspect
        wide = max(min(width, round(height * high)), 1)
        tall = max(min(height, round(width / low)), 1)
        return tall, wide

    def __call__(self, key: Key, image: Image, facts: Facts) -> Image:  # noqa: ARG002
        """Return an image of [height, width, C]."""
        height, width, _ = image.shape
        top, left, tall, wide = self.window(key, height, width)
        return resize_window(
            image,
            cut_out(top, tall),
            cut_out(left, wide),
            (self.height, self.width),
            shrink=max(height / self.height, width / self.width),
        )


@dataclass(frozen=True)
class ScaleJitter:
    """Resize so that the short side is S, drawn anew, and cut a square at a random place.

    Simonyan and Zisserman 2015, Section 3.1 (S from 256 to 512, squares of 224); He et
    al. 2016, Section 3.4 (256 to 480). Every whole number S is equally likely, and so is
    every place. Only the square is computed: it is the window of side ``size`` / S of the
    short side. Bilinear, with antialias where it shrinks; the pixels around the window
    enter at its border, as they do when the whole image is resized.

    Attributes:
        shortest: smallest S in pixels.
        longest: largest S in pixels.
        size: side of the square in pixels.
    """

    shortest: int
    longest: int
    size: int

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.shortest <= self.longest:
            raise ValueError(
                f"a square of {self.size} cannot be cut from every image with a short side "
                f"of {self.shortest} to {self.longest} pixels"
            )

    def fit(self, images: np.ndarray) -> Facts:  # noqa: ARG002
        """Return ``()``."""
        return ()

    def __call__(self, key: Key, image: Image, facts: Facts) -> Image:  # noqa: ARG002
        """Return an image of [size, size, C]."""
        short_key, place_key = jax.random.split(key)
        short = jax.random.randint(
            short_key, (), self.shortest, self.longest + 1, jnp.int32
        )
        stored = np.array(image.shape[:2], np.int32)
        # In whole numbers, rounded to the nearest: the sides of the resized image.
        resized = (2 * stored * short + stored.min()) // (2 * stored.min())
        room = resized - self.size
        place = jax.random.randint(place_key, (2,), 0, room + 1, jnp.int32)
        # Stored pixels that a pixel of the result stands for.
        steps = stored.astype(np.float32) / resized.astype(jnp.float32)
        rows, columns = (
            Span(place[i] * steps[i], self.size * steps[i], 0, image.shape[i])
            for i in range(2)
        )
        shrink = float(stored.min()) / self.shortest
        return resize_window(image, rows, columns, (self.size, self.size), shrink)
