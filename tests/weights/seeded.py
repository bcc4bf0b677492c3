"""Arrays that two programs make alike, and numbers that tell whether two arrays are.

``make_torchvision_fixtures.py`` runs torchvision on such weights and images, in an
environment of its own, and writes the digests of what comes out; the tests run ours on the
same ones. Only the raw stream of Philox is used, which NumPy promises to keep, and exact
arithmetic on it.
"""

import math
import zlib

import numpy as np

BATCH = 4


def uniform(name, shape):
    """Return float32 in [0, 1): multiples of 2^-24 that depend on the name alone."""
    raw = np.random.Philox(key=zlib.crc32(name.encode())).random_raw(math.prod(shape))
    return ((raw >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)).reshape(shape)


def seeded_weights(shapes):
    """Return torchvision's arrays by key: scores of order 1, nothing 0, nothing 1."""
    return {key: _weight(key, shape) for key, shape in shapes.items()}


def _weight(key, shape):
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    values = uniform(key, shape)
    if key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
        return values + np.float32(0.5)
    if len(shape) == 1:
        return (values - np.float32(0.5)) * np.float32(0.5)
    # He et al. 2015: variance 2 / fan-in.
    reach = np.float32(math.sqrt(6 / math.prod(shape[1:])))
    return (values * np.float32(2) - np.float32(1)) * reach


def seeded_images(side):
    """Return float32 [BATCH, 3, side, side]: patches, so that means over them differ."""
    edge = -(-side // 8)
    patches = uniform("patches", (BATCH, 3, 8, 8)).repeat(edge, 2).repeat(edge, 3)
    noise = uniform("noise", (BATCH, 3, side, side))
    return np.float32(3) * patches[:, :, :side, :side] + noise - np.float32(2)


def seeded_labels(classes):
    """Return int [BATCH]."""
    return np.arange(BATCH) * 7 % classes


def digest(name, array):
    """Return the norm, the component along a random direction, and the first values.

    The component tells two arrays of the same numbers in another order apart.
    """
    flat = np.asarray(array, np.float64).ravel()
    direction = uniform(name, flat.shape).astype(np.float64) - 0.5
    component = flat @ direction / np.linalg.norm(direction)
    values = [np.linalg.norm(flat), component, *flat[:3]]
    return [float(f"{value:.7g}") for value in values]
