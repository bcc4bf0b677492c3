"""Elastic distortion of one image: Simard, Steinkraus and Platt 2003, Section 2."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from cnn_jax.data.augmentation import Facts, Image
from cnn_jax.types import Key

Displacement = Float[Array, "2 height width"]
"""Rows down, columns right, in pixels, for every pixel."""


@dataclass(frozen=True)
class ElasticDistortion:
    """Move every pixel by a smooth random field and resample bilinearly.

    Two fields of U(-1, 1) are convolved with a Gaussian of ``sigma`` pixels and multiplied
    by ``alpha``. The paper takes ``alpha=34, sigma=4`` for MNIST at 29x29.

    Conventions that the paper leaves open, as we read it:

    - The Gaussian sums to 1 (cut off at 4 sigma). Far from the border a displacement then
      has the deviation alpha / (sqrt(3) * 2 sqrt(pi) * sigma): 1.4 pixels for the paper's
      numbers. (A kernel of unit norm would give 20.)
    - The fields are 0 outside the image, so displacements shrink towards its border.
    - What lies outside the image is black (0).

    Attributes:
        alpha: strength, in pixels; 0 changes nothing.
        sigma: deviation of the Gaussian, in pixels.
    """

    alpha: float
    sigma: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.alpha < math.inf:
            raise ValueError(f"alpha {self.alpha} is not a number of at least 0")
        if not 0.0 < self.sigma < math.inf:
            raise ValueError(f"sigma {self.sigma} is not a positive number")

    def fit(self, images: np.ndarray) -> Facts:  # noqa: ARG002
        """Return ``()``."""
        return ()

    def __call__(self, key: Key, image: Image, facts: Facts) -> Image:  # noqa: ARG002
        """Return the distorted image."""
        height, width, _ = image.shape
        fields = uniform_fields(key, height, width)
        return resample(image, smooth(fields, self.sigma) * self.alpha)


def uniform_fields(key: Key, height: int, width: int) -> Displacement:
    """Draw two fields of U(-1, 1), [2, height, width].

    Both come from the halves of one 32-bit draw, because drawing is most of the cost on a
    CPU: 65,536 equally likely values, symmetric about 0, 2**-15 apart.
    """
    bits = jax.random.bits(key, (height, width), jnp.uint32)
    halves = jnp.stack([bits >> 16, bits & 0xFFFF])
    return (halves.astype(jnp.int32).astype(jnp.float32) - 32767.5) / 32768.0


def smoothing_matrix(size: int, sigma: float) -> np.ndarray:
    """Return the [size, size] float32 matrix that convolves a vector with a Gaussian.

    The Gaussian has deviation ``sigma``, is cut off at 4 sigma and sums to 1; the vector
    is 0 beyond its ends.
    """
    radius = int(4.0 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    distance = np.subtract.outer(np.arange(size), np.arange(size))
    inside = np.abs(distance) <= radius
    picked = weights[np.clip(distance, -radius, radius) + radius]
    return np.where(inside, picked / weights.sum(), 0.0).astype(np.float32)


def smooth(fields: Displacement, sigma: float) -> Displacement:
    """Convolve both fields with a two-dimensional Gaussian: one matrix product an axis."""
    _, height, width = fields.shape
    # "highest": a product in TF32 or bfloat16 would differ from device to device.
    across = jnp.matmul(fields, smoothing_matrix(width, sigma).T, precision="highest")
    # Both products from the right: as one large matrix product under vmap.
    down = jnp.matmul(across.mT, smoothing_matrix(height, sigma).T, precision="highest")
    return down.mT


def resample(image: Image, displacement: Displacement) -> Image:
    """Return the image whose pixel (r, c) is the old image at (r, c) + displacement.

    Between pixels the old image is bilinear; outside it is black, which begins one pixel
    beyond the outermost centres.
    """
    height, width, channels = image.shape
    padded = jnp.pad(image, ((1, 1), (1, 1), (0, 0))).reshape(-1, channels)
    # Anything further out than one pixel is as black as one pixel out.
    rows = jnp.clip(jnp.arange(height)[:, None] + displacement[0], -1, height)
    columns = jnp.clip(jnp.arange(width)[None, :] + displacement[1], -1, width)
    top = jnp.clip(jnp.floor(rows), -1, height - 1)
    left = jnp.clip(jnp.floor(columns), -1, width - 1)
    below, right = (rows - top)[..., None], (columns - left)[..., None]

    stride = width + 2
    first = ((top + 1) * stride + (left + 1)).astype(jnp.int32)

    def pixel(offset: int) -> Array:  # [H, W, C]
        return padded.at[first + offset].get(mode="promise_in_bounds")

    upper = (1 - right) * pixel(0) + right * pixel(1)
    lower = (1 - right) * pixel(stride) + right * pixel(stride + 1)
    return (1 - below) * upper + below * lower
