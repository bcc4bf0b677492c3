"""Weights and images that Keras and this package draw alike, from names alone.

A name's CRC-32 seeds Philox. Raw bits are used, whose stream NumPy promises to keep, and
turned into uniform numbers here. Neither Keras nor JAX is imported.
"""

import hashlib
import math
import zlib

import numpy as np


def uniform(name, shape, low, high):
    """Numbers in [low, high), float32, that depend on the name and the shape only."""
    count = math.prod(shape)
    bits = np.random.Philox(zlib.crc32(name.encode())).random_raw((count + 1) // 2)
    numbers = (bits.view(np.uint32)[:count] >> 8).astype(np.float32)
    numbers *= np.float32((high - low) * 2**-24)
    numbers += np.float32(low)
    return numbers.reshape(shape)


def weights(key, shape):
    """Values for a weight called ``layer/weight``, as Keras calls it.

    Every number matters: scales and variances are not 1, means and biases not 0. Kernels
    keep the mean square of what they are given (He et al. 2015, Equation 10); the last
    scale of a residual block is small, so that 50 blocks multiply a signal by ten only.
    """
    layer, _, weight = key.rpartition("/")
    if weight == "kernel":
        reach = math.sqrt(3 * 2 / math.prod(shape[:-1]))  # variance reach^2 / 3
        return uniform(key, shape, -reach, reach)
    if weight == "gamma" and layer.endswith("_3_bn"):
        return uniform(key, shape, 0.1, 0.4)
    if weight in ("gamma", "moving_variance"):
        return uniform(key, shape, 0.5, 1.5)
    return uniform(key, shape, -0.2, 0.2)


def images(count, edge):
    """Whole numbers from 0 to 255, uint8 [count, edge, edge, 3], red first.

    Colours of their own in each image, so that swapped channels show.
    """
    tint = uniform("tint", (count, 1, 1, 3), 0.2, 1.0)
    return (255 * tint * uniform("images", (count, edge, edge, 3), 0, 1)).astype(np.uint8)


def digest(shapes):
    """Return the SHA-256 of what a network's weights are called and how large they are."""
    lines = sorted(f"{key} {list(shape)}\n" for key, shape in shapes.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()
