"""Local contrast normalisation over space and feature maps.

Jarrett, Kavukcuoglu, Ranzato and LeCun. What is the Best Multi-Stage Architecture for
Object Recognition? ICCV 2009, Section 2.1 ("N" layers).
"""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnn_jax.types import Features

ROUNDING = 1e-6
"""Contrast, as a fraction of the features, that float32 cannot tell from none."""


def local_contrast_norm(x: Features, *, size: int = 9, deviation: float = 2.25) -> Features:
    """Return v / max(c, s): features less their local mean, over their local deviation.

    With weights w that are a Gaussian in space, the same for every map, and sum to 1 over
    the window and all maps i::

        v_ijk = x_ijk - sum_ipq w_pq x_i,j+p,k+q
        s_jk = sqrt(sum_ipq w_pq v_i,j+p,k+q ^ 2)        c = mean of s over the image

    Three things are not in the paper. The deviation of the Gaussian: 2.25 pixels is a
    quarter of the paper's window of 9. The border: weights that fall outside the image
    are left out and the others scaled to sum to 1, so that a constant image gives 0
    everywhere; with zeros around the image its border would have contrast. And a local
    deviation below a millionth of the features is float32 rounding, which counts as none:
    an image without contrast gives (nearly) 0, not enlarged rounding.

    Args:
        x: features, [N, H, W, C].
        size: edge of the square window in pixels, odd.
        deviation: of the Gaussian in pixels.

    Raises:
        ValueError: the window is not a positive odd number of pixels, the deviation is
            not positive, or ``x`` has not four axes.
    """
    if x.ndim != 4:
        raise ValueError(f"features have shape {x.shape}; [N, H, W, C] is needed")
    # bfloat16 has 8 bits: too few for a sum of squares, or to tell contrast from rounding.
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    centred = wide - _local_mean(wide, size, deviation)
    variance = _local_mean(centred * centred, size, deviation)
    flat = variance <= ROUNDING**2 * _local_mean(wide * wide, size, deviation)
    # The root has no slope at 0; both branches of a `where` are differentiated.
    spread = jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, variance)))
    floor = jnp.maximum(spread, spread.mean(axis=(1, 2), keepdims=True))
    return (centred / jnp.where(floor > 0.0, floor, 1.0)).astype(x.dtype)


def _local_mean(x: Features, size: int, deviation: float) -> Array:
    """Return the weighted mean over the window and all maps, [N, H, W, 1]."""
    # The weights are a product of one Gaussian a direction: two small matrices.
    rows = jnp.asarray(_weights(x.shape[1], size, deviation), x.dtype)
    columns = jnp.asarray(_weights(x.shape[2], size, deviation), x.dtype)
    mean = jnp.einsum(
        "jp,npq,kq->njk", rows, x.mean(axis=3), columns, precision=lax.Precision.HIGHEST
    )
    return mean[..., None]


def _weights(length: int, size: int, deviation: float) -> np.ndarray:
    """Return the matrix [length, length] whose row j averages around pixel j."""
    if size < 1 or size % 2 == 0:
        raise ValueError(f"window of {size} pixels: a positive odd number is needed")
    if not 0.0 < deviation < float("inf"):
        raise ValueError(f"deviation {deviation} pixels is not a positive number")
    distance = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    weights = np.exp(-0.5 * (distance / deviation) ** 2) * (distance <= size // 2)
    return weights / weights.sum(1, keepdims=True)
