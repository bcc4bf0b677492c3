"""Spatial pyramid pooling: a fixed number of maxima from maps of any size.

He, Zhang, Ren and Sun. Spatial Pyramid Pooling in Deep Convolutional Networks for Visual
Recognition. ECCV 2014 and TPAMI 2015, Section 2.2 and Appendix A.
"""

import jax.numpy as jnp

from cnn_jax.maths.geometry import WindowError
from cnn_jax.types import Features


def bin_ranges(size: int, bins: int) -> list[tuple[int, int]]:
    """Return the ``bins`` ranges of pixels, [first, one past the last), along one axis.

    Bin i of n, counted from 0, runs from floor(i size / n) to ceil((i + 1) size / n)
    (Appendix A; torch's adaptive pooling). Neighbours share a pixel where n does not
    divide the size, and no pixel is left out. Section 2.2 has windows of ceil(size / n)
    with stride floor(size / n) instead: 14 pixels in 3 bins would then end at pixel 13.

    Args:
        size: of the map in pixels.
        bins: number of ranges.

    Raises:
        WindowError: fewer pixels than bins, or no bin.
    """
    if not 1 <= bins <= size:
        raise WindowError(
            f"{bins} bins do not fit {size} pixels: 1 to {size} bins are possible"
        )
    return [(i * size // bins, -(-(i + 1) * size // bins)) for i in range(bins)]


def spatial_pyramid_pool(x: Features, bins: tuple[int, ...]) -> Features:
    """Return the maximum of each bin of each level of the pyramid.

    Args:
        x: features, [N, H, W, C].
        bins: each level's number of bins along one axis, e.g. (7, 3, 2, 1).

    Returns:
        [N, sum of squares of ``bins``, C]: levels in the given order, the bins of a level
        row by row.

    Raises:
        WindowError: a level has more bins than the maps have pixels.
        ValueError: there is no level.
    """
    if not bins:
        raise ValueError("a pyramid needs at least one level of bins")
    return jnp.concatenate([_level(x, count) for count in bins], axis=1)


def _level(x: Features, count: int) -> Features:
    # A maximum over a rectangle is one over rows and one over columns.
    rows = [x[:, a:b].max(axis=1) for a, b in bin_ranges(x.shape[1], count)]
    stacked = jnp.stack(rows, axis=1)
    cells = [stacked[:, :, a:b].max(axis=2) for a, b in bin_ranges(x.shape[2], count)]
    return jnp.stack(cells, axis=2).reshape(x.shape[0], count * count, x.shape[3])
