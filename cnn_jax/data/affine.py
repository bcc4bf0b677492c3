"""Random planar affine distortion of one image: LeCun et al. 1998, Section III.B."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.augmentation import Facts, Image
from cnn_jax.data.elastic import Displacement, resample
from cnn_jax.types import Key


@dataclass(frozen=True)
class AffineDistortion:
    """Shift, scale, squeeze and shear an image about its centre, and resample bilinearly.

    The paper enlarges the training set ten times by "combinations of the following planar
    affine transformations: horizontal and vertical translations, scaling, squeezing
    (simultaneous horizontal compression and vertical elongation, or the reverse), and
    horizontal shearing". It does not say how far; here every amount is drawn uniformly
    (factors: their logarithms), independently, anew whenever an image is seen.

    What lies outside the image is black (0).

    Attributes:
        translation: largest shift along each axis, in pixels.
        scaling: largest factor of both axes, minus 1; as often it is divided by.
        squeezing: largest factor of one axis, minus 1, by which the other is divided.
        shearing: largest shift to the side for each pixel of height.
    """

    translation: float
    scaling: float
    squeezing: float
    shearing: float

    def __post_init__(self) -> None:
        for name in ("translation", "scaling", "squeezing", "shearing"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"{name} {getattr(self, name)} is not a number of at least 0"
                )

    def fit(self, images: np.ndarray) -> Facts:  # noqa: ARG002
        """Return ``()``."""
        return ()

    def __call__(self, key: Key, image: Image, facts: Facts) -> Image:  # noqa: ARG002
        """Return the distorted image."""
        height, width, _ = image.shape
        return resample(image, self.displacement(key, height, width))

    def displacement(self, key: Key, height: int, width: int) -> Displacement:
        """Return where every pixel comes from, relative to itself."""
        amounts = jax.random.uniform(key, (5,), minval=-1.0, maxval=1.0)
        down, right = self.translation * amounts[0], self.translation * amounts[1]
        scale = jnp.exp(math.log1p(self.scaling) * amounts[2])
        squeeze = jnp.exp(math.log1p(self.squeezing) * amounts[3])
        shear = self.shearing * amounts[4]

        rows = (jnp.arange(height) - (height - 1) / 2.0)[:, None]
        columns = (jnp.arange(width) - (width - 1) / 2.0)[None, :]
        from_row = scale * squeeze * rows + down
        from_column = (scale / squeeze) * columns + shear * rows + right
        down_by = jnp.broadcast_to(from_row - rows, (height, width))
        return jnp.stack([down_by, from_column - columns])
