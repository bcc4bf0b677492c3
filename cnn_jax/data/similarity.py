"""Random translation, rotation and scaling of one image: Ciresan et al. 2012, Section 2."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.augmentation import Facts, Image
from cnn_jax.data.elastic import Displacement, resample
from cnn_jax.types import Key


@dataclass(frozen=True)
class SimilarityDistortion:
    """Shift, scale and turn an image about its centre, and resample bilinearly.

    Every amount is drawn uniformly, independently, anew whenever an image is seen; the
    factors of height and width are two draws (Ciresan et al. 2010, Section 2, scale both
    axes independently; from memory). What lies outside the image is black (0).

    Attributes:
        translation: largest shift along each axis, in pixels.
        scaling: largest change of height and of width, as a fraction below 1.
        rotation: largest angle in degrees, either way.
    """

    translation: float
    scaling: float
    rotation: float

    def __post_init__(self) -> None:
        for name, most in (("translation", math.inf), ("scaling", 1), ("rotation", 360)):
            if not 0.0 <= getattr(self, name) < most:
                raise ValueError(f"{name} {getattr(self, name)} is not in [0, {most})")

    def fit(self, images: np.ndarray) -> Facts:  # noqa: ARG002
        """Return ``()``."""
        return ()

    def __call__(self, key: Key, image: Image, facts: Facts) -> Image:  # noqa: ARG002
        """Return the distorted image."""
        height, width, _ = image.shape
        return resample(image, self.displacement(key, height, width))

    def displacement(self, key: Key, height: int, width: int) -> Displacement:
        """Return where every pixel comes from, relative to itself.

        A pixel (r, c) from the centre comes from the inverse of the change: turned back by
        the angle, then divided by the factors, then shifted.
        """
        amounts = jax.random.uniform(key, (5,), minval=-1.0, maxval=1.0)
        down, right = self.translation * amounts[0], self.translation * amounts[1]
        taller, wider = 1.0 + self.scaling * amounts[2], 1.0 + self.scaling * amounts[3]
        angle = math.radians(self.rotation) * amounts[4]

        rows = (jnp.arange(height) - (height - 1) / 2.0)[:, None]
        columns = (jnp.arange(width) - (width - 1) / 2.0)[None, :]
        cosine, sine = jnp.cos(angle), jnp.sin(angle)
        from_row = (cosine * rows - sine * columns) / taller + down
        from_column = (sine * rows + cosine * columns) / wider + right
        return jnp.stack([from_row - rows, from_column - columns])
