"""Subtractive normalisation: features less their mean around each pixel.

Jarrett, Kavukcuoglu, Ranzato and LeCun. What is the Best Multi-Stage Architecture for
Object Recognition? ICCV 2009, Section 2.1, the first half of ``local_contrast_norm``, here
with the same weight for every pixel of the window.
"""

import flax.linen as nn

from cnn_jax.types import Features


def subtractive_norm(x: Features, *, size: int) -> Features:
    """Return the features less the mean of the window around them, over all maps.

    What lies outside the image is left out of the mean, so constant features become 0 at
    the border too.

    Args:
        x: features, [N, H, W, C].
        size: edge of the square window in pixels, odd.

    Raises:
        ValueError: the window is not a positive odd number of pixels, or ``x`` has not
            four axes.
    """
    if x.ndim != 4:
        raise ValueError(f"features have shape {x.shape}; [N, H, W, C] is needed")
    if size < 1 or size % 2 == 0:
        raise ValueError(f"window of {size} pixels: a positive odd number is needed")
    sides = (size // 2, size // 2)
    across_maps = x.mean(axis=-1, keepdims=True)
    return x - nn.avg_pool(
        across_maps, (size, size), padding=(sides, sides), count_include_pad=False
    )
