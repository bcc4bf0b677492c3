"""From stored pixels to what a network sees: subtract a mean, divide by a deviation.

The facts of the training images are measured once, on the host (``Normalization.fit``);
applying them is part of the compiled step (``apply_preprocessing``). The unit of both is
pixel value / 255.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from cnn_jax.types import Images, Pixels

_CHUNK_VALUES = 1 << 22  # 32 MiB of float64: bounds the memory of `fit`, not its result

MeanOf = Literal["channel", "pixel", "none"]
DeviationOf = Literal["channel", "none"]
White = Literal[1, 255]


class Preprocessing(NamedTuple):
    """What to subtract and what to divide by, in units of pixel value / 255.

    Attributes:
        mean: float32, [H, W, C] for a mean image, else [1, 1, C].
        deviation: float32, [1, 1, C]; never 0.
    """

    mean: Float[Array, "height width channels"] | np.ndarray
    deviation: Float[Array, "1 1 channels"] | np.ndarray


@dataclass(frozen=True)
class Normalization:
    """Which mean and which deviation of the training images normalise an image.

    Krizhevsky et al. 2012, Section 2, subtract the mean image and nothing more:
    ``Normalization(mean="pixel", deviation="none")``.

    Attributes:
        mean: ``"channel"``: one number a channel; ``"pixel"``: the mean image;
            ``"none"``: subtract nothing.
        deviation: ``"channel"``: the standard deviation of all values of a channel about
            their common mean, whatever ``mean`` is; ``"none"``: divide by nothing.
        white: the value of a white pixel before the mean is subtracted, where no
            deviation is divided by: 1, or 255 as in the papers up to 2014, whose initial
            deviations of 0.01 are made for it.
        levels: the values of a black and of a white pixel, where nothing is measured:
            ``mean`` and ``deviation`` are ``"none"`` and ``white`` is 1. (-0.1, 1.175) in
            LeCun et al. 1998, Section II.B, for white digits on black.
    """

    mean: MeanOf = "channel"
    deviation: DeviationOf = "channel"
    white: White = 1
    levels: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        fields = (("mean", MeanOf), ("deviation", DeviationOf), ("white", White))
        for name, allowed in fields:
            if getattr(self, name) not in get_args(allowed):
                raise ValueError(
                    f"{name} {getattr(self, name)!r} is not one of {get_args(allowed)}"
                )
        if self.levels is None:
            return
        black, white = self.levels
        if not -math.inf < black < white < math.inf:
            raise ValueError(f"levels {self.levels}: black must be below white")
        if (self.mean, self.deviation, self.white) != ("none", "none", 1):
            raise ValueError("levels need mean 'none', deviation 'none' and white 1")

    def fit(self, images: np.ndarray) -> Preprocessing:
        """Measure the training images.

        The sums are exact (whole numbers below 2**53 in float64); the deviation divides
        by the number of values, not by one less. A channel whose values are all equal
        has deviation 0; it gets 1, so that it is left alone instead of becoming NaN.

        Args:
            images: uint8, [N, H, W, C], N at least 1.

        Raises:
            ValueError: not uint8, not four axes, or no image.
        """
        _, height, width, channels = images.shape if images.ndim == 4 else (0, 0, 0, 0)
        total = np.zeros((height, width, channels))
        squares = np.zeros(channels)
        for chunk in float_chunks(images):
            total += chunk.sum(0)
            flat = chunk.reshape(-1, channels)
            squares += np.einsum("nc,nc->c", flat, flat)

        count = images.shape[0] * height * width
        sums = total.sum((0, 1))
        mean = np.zeros((1, 1, channels))
        if self.mean == "channel":
            mean = sums.reshape(1, 1, -1) / (255.0 * count)
        elif self.mean == "pixel":
            mean = total / (255.0 * images.shape[0])

        deviation = np.full(channels, 1.0 / self.white)
        if self.levels is not None:
            black, white = self.levels
            mean -= black / (white - black)
            deviation /= white - black
        if self.deviation == "channel":
            # Python integers: the variance of a constant channel must be 0, not 1e-17.
            numerators = [
                count * int(q) - int(s) ** 2 for q, s in zip(squares, sums, strict=True)
            ]
            deviation = np.sqrt([float(n) for n in numerators]) / (255.0 * count)
            deviation[deviation == 0.0] = 1.0
        return Preprocessing(
            mean.astype(np.float32), deviation.reshape(1, 1, -1).astype(np.float32)
        )


def float_chunks(images: np.ndarray) -> Iterator[np.ndarray]:
    """Yield uint8 images [N, H, W, C] as float64 in consecutive blocks of rows.

    Raises:
        ValueError: not uint8, not four axes, or no image.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.size == 0:
        raise ValueError(
            f"images are {images.dtype} {list(images.shape)}; expected uint8 [N, H, W, C] "
            "with at least one value"
        )
    rows = max(1, _CHUNK_VALUES // int(np.prod(images.shape[1:])))
    for start in range(0, len(images), rows):
        yield images[start : start + rows].astype(np.float64)


def to_unit_range(images: Pixels | Images) -> Images:
    """Return images as float32 in [0, 1].

    Args:
        images: uint8 (0 to 255, divided by 255), or floating, already in [0, 1].

    Raises:
        ValueError: another type; whole numbers wider than uint8 have no known scale.
    """
    dtype: Any = jnp.asarray(images).dtype
    if dtype == jnp.uint8:
        return jnp.asarray(images, jnp.float32) / 255.0
    if jnp.issubdtype(dtype, jnp.floating):
        return jnp.asarray(images, jnp.float32)
    raise ValueError(f"images are {dtype}; expected uint8, or floating in [0, 1]")


def apply_preprocessing(preprocessing: Preprocessing, images: Pixels | Images) -> Images:
    """Return (images - mean) / deviation, float32, of the same shape.

    Args:
        preprocessing: from ``Normalization.fit`` or from a checkpoint.
        images: [..., H, W, C], uint8, or floating in [0, 1].

    Raises:
        ValueError: the images are of another type, or the mean does not fit their shape.
    """
    *batch, height, width, channels = jnp.shape(images)
    mean, deviation = map(jnp.asarray, preprocessing)
    if mean.shape not in ((1, 1, channels), (height, width, channels)):
        raise ValueError(
            f"the mean has shape {mean.shape}; images of {(height, width, channels)} "
            "(height, width, channels) cannot be normalised with it"
        )
    ones = (1,) * len(batch)
    centred = to_unit_range(images) - mean.reshape(*ones, *mean.shape)
    return centred / deviation.reshape(*ones, *deviation.shape)
