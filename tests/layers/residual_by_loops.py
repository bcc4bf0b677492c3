"""Residual networks as NumPy loops, written from He et al. 2016; nothing of the package.

Batches [N, H, W, C] in float64; parameters and statistics as they stand in a variable tree.
"""

from dataclasses import dataclass, field

import numpy as np

EPSILON = 1e-5


def convolve(x, kernel, stride, padding):
    """Correlation without biases, zeros on all sides."""
    kernel = np.float64(kernel)
    edge = kernel.shape[0]
    sides = (padding, padding)
    x = np.pad(x, ((0, 0), sides, sides, (0, 0)))
    height, width = ((side - edge) // stride + 1 for side in x.shape[1:3])
    y = np.zeros((len(x), height, width, kernel.shape[-1]))
    for i in range(height):
        for j in range(width):
            top, left = i * stride, j * stride
            window = x[:, top : top + edge, left : left + edge]
            y[:, i, j] = np.tensordot(window, kernel, 3)
    return y


def max_pool_3_2(x):
    """3 x 3 maxima, stride 2, one pixel of padding on all sides that never wins."""
    height, width = ((side - 1) // 2 + 1 for side in x.shape[1:3])
    y = np.zeros((len(x), height, width, x.shape[3]))
    for i in range(height):
        for j in range(width):
            rows = slice(max(0, 2 * i - 1), 2 * i + 2)
            columns = slice(max(0, 2 * j - 1), 2 * j + 2)
            y[:, i, j] = x[:, rows, columns].max((1, 2))
    return y


@dataclass
class Loops:
    """A network under given variables.

    ``updated`` collects the running statistics after a training step, by path.
    """

    params: dict
    statistics: dict
    shortcut: str
    stride_in: str = "1x1"
    train: bool = False
    momentum: float = 0.9
    updated: dict = field(default_factory=dict)

    def unit(self, x, path, stride=1, padding=0, *, seen=True):
        """Convolution and normalisation; ``seen``: the statistics take this batch in."""
        params, statistics = self.params, self.statistics
        *scopes, name = path
        for scope in scopes:
            params, statistics = params[scope], statistics[scope]
        x = convolve(x, params[name]["kernel"], stride, padding)
        norm, running = params[f"{name}_norm"], statistics[f"{name}_norm"]
        mean, variance = np.float64(running["mean"]), np.float64(running["var"])
        if self.train:
            values = x.reshape(-1, x.shape[-1])
            batch_mean = values.sum(0) / len(values)
            batch_variance = ((values - batch_mean) ** 2).sum(0) / len(values)
            keep = self.momentum if seen else 1.0
            self.updated[(*scopes, f"{name}_norm")] = (
                keep * mean + (1 - keep) * batch_mean,
                keep * variance + (1 - keep) * batch_variance,
            )
            mean, variance = batch_mean, batch_variance
        normalised = (x - mean) / np.sqrt(variance + EPSILON)
        return normalised * np.float64(norm["scale"]) + np.float64(norm["bias"])

    def block(self, x, name, widths, stride, weight=None):
        """Two widths: 3 x 3, 3 x 3. Three: 1 x 1, 3 x 3, 1 x 1."""
        seen = weight is None or weight > 0
        if len(widths) == 2:
            shape = ((stride, 1), (1, 1))  # stride and padding of each
        elif self.stride_in == "1x1":
            shape = ((stride, 0), (1, 1), (1, 0))
        else:
            shape = ((1, 0), (stride, 1), (1, 0))
        branch = x
        for number, (step, padding) in enumerate(shape, 1):
            if number > 1:
                branch = np.maximum(branch, 0)
            branch = self.unit(branch, (name, f"conv{number}"), step, padding, seen=seen)
            assert branch.shape[-1] == widths[number - 1]
        if self.shortcut == "none":
            return np.maximum(branch, 0)
        if weight is not None:
            branch = branch * weight
        return np.maximum(branch + self.skip(x, name, branch.shape, stride), 0)

    def skip(self, x, name, shape, stride):
        if x.shape == shape and self.shortcut != "C":
            return x
        if self.shortcut == "A":
            y = np.zeros(shape)
            for i in range(shape[1]):
                for j in range(shape[2]):
                    y[:, i, j, : x.shape[3]] = x[:, i * stride, j * stride]
            return y
        return self.unit(x, (name, "shortcut"), stride)

    def classify(self, x):
        mean = x.sum((1, 2)) / (x.shape[1] * x.shape[2])
        fc = self.params["fc"]
        return mean @ np.float64(fc["kernel"]) + np.float64(fc["bias"])
