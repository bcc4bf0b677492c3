"""Means over a fixed number of bins, whatever the size of the maps."""

import jax.numpy as jnp

from cnn_jax.layers.spatial_pyramid_pooling import bin_ranges
from cnn_jax.types import Features


def adaptive_average_pool(x: Features, bins: int) -> Features:
    """Return the mean of each of ``bins`` x ``bins`` bins: torch's adaptive pooling.

    Bin i of n runs from floor(i size / n) to ceil((i + 1) size / n) along each axis, so
    neighbours share pixels where n does not divide the size: 4 bins of 14 pixels are the
    pixels 0 to 3, 3 to 6, 7 to 10 and 10 to 13.

    Args:
        x: features, [N, H, W, C].
        bins: number of bins along each axis, at most H and W.

    Returns:
        [N, bins, bins, C].

    Raises:
        WindowError: fewer pixels than bins.
    """
    # All pixels of a bin count alike: a mean over rows, then one over columns.
    rows = [x[:, a:b].mean(axis=1) for a, b in bin_ranges(x.shape[1], bins)]
    stacked = jnp.stack(rows, axis=1)
    cells = [stacked[:, :, a:b].mean(axis=2) for a, b in bin_ranges(x.shape[2], bins)]
    return jnp.stack(cells, axis=2)
