"""The layers of the papers as NumPy loops over output pixels, independent of the package.

One image [H, W, C] in float64, weights as they stand in a parameter tree.
"""

import math

import numpy as np


def pad(x, before, after, fill=0.0):
    return np.pad(x, ((before, after), (before, after), (0, 0)), constant_values=fill)


def conv(x, weights, *, stride=1, padding=0):
    """Correlation and bias, no activation; ``padding`` on all sides."""
    kernel, bias = (np.float64(weights[name]) for name in ("kernel", "bias"))
    edge = kernel.shape[0]
    x = pad(x, padding, padding)
    height, width = ((side - edge) // stride + 1 for side in x.shape[:2])
    y = np.zeros((height, width, kernel.shape[-1]))
    for i in range(height):
        for j in range(width):
            window = x[i * stride : i * stride + edge, j * stride : j * stride + edge]
            y[i, j] = np.tensordot(window, kernel, 3) + bias
    return y


def max_pool(x, edge, stride, *, ceil=False):
    """Maxima without padding; with ``ceil`` the last window may be cut off at the end."""
    rounded = math.ceil if ceil else math.floor
    height, width = (rounded((side - edge) / stride) + 1 for side in x.shape[:2])
    y = np.zeros((height, width, x.shape[2]))
    for i in range(height):
        for j in range(width):
            window = x[i * stride : i * stride + edge, j * stride : j * stride + edge]
            y[i, j] = window.max((0, 1))
    return y


def relu(x):
    return np.maximum(x, 0.0)


def prelu(x, slope):
    return np.maximum(x, 0.0) + np.float64(slope) * np.minimum(x, 0.0)


def local_response_norm(x):
    """Krizhevsky et al. 2012, Section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75."""
    y = np.zeros_like(x)
    channels = x.shape[2]
    for i in range(channels):
        near = x[:, :, max(0, i - 2) : min(channels - 1, i + 2) + 1]
        y[:, :, i] = x[:, :, i] / (2.0 + 1e-4 * (near**2).sum(2)) ** 0.75
    return y


def dense(x, weights):
    return x.reshape(-1) @ np.float64(weights["kernel"]) + np.float64(weights["bias"])
