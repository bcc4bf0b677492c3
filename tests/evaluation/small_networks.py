"""Networks that compile in a moment, with random parameters, and windows by NumPy."""

import jax
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.evaluation.network import Network
from cnn_jax.layers.rows import Classifier, Conv, Dense, MaxPool
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.tracing import trace_variables

# Nothing is padded: 14 -> 12 -> 6 -> 4 -> 2 pixels, stride 4.
UNPADDED = TableNetwork(
    num_classes=3,
    input_shape=(14, 14, 1),
    table=(
        Conv("conv1", 4, 3),
        MaxPool("pool1", 2, 2),
        Conv("conv2", 6, 3),
        MaxPool("pool2", 2, 2),
        Dense("fc1", 8, dropout=0.5),
        Classifier("out"),
    ),
)
# Zeros around the maps: 14 -> 7 -> 7 pixels, stride 2.
PADDED = TableNetwork(
    num_classes=3,
    input_shape=(14, 14, 1),
    table=(
        Conv("conv1", 4, 3, stride=2, padding=1),
        Conv("conv2", 6, 3, padding=1),
        Dense("fc1", 8),
        Classifier("out"),
    ),
)


def random_variables(model, seed=0):
    """Return variables of unit size; variances of batch normalisation are positive."""
    draw = np.random.default_rng(seed)

    def leaf(path, abstract):
        values = draw.standard_normal(abstract.shape).astype(np.float32)
        if path[-1].key == "var":
            return np.abs(values) + 0.5
        fan_in = int(np.prod(abstract.shape[:-1])) if len(abstract.shape) > 1 else 1
        return values / np.float32(np.sqrt(fan_in))

    return jax.tree_util.tree_map_with_path(leaf, trace_variables(model))


def network(model, mean=None):
    channels = model.input_shape[-1]
    mean = np.full((1, 1, channels), 0.4, np.float32) if mean is None else mean
    deviation = np.full((1, 1, channels), 0.3, np.float32)
    return Network(model, random_variables(model), Preprocessing(mean, deviation))


def logits(net, windows):
    """Return the scores of uint8 windows [N, H, W, C], all of it by NumPy."""
    pixels = windows / np.float64(255.0)
    x = (pixels - net.preprocessing.mean) / net.preprocessing.deviation
    params = net.variables["params"]
    for row in net.model.table:
        if isinstance(row, MaxPool):
            views = sliding_window_view(x, (row.size, row.size), (1, 2))
            x = views[:, :: row.stride, :: row.stride].max((-2, -1))
            continue
        kernel, bias = params[row.name]["kernel"], params[row.name]["bias"]
        if isinstance(row, Conv):
            x = np.pad(x, ((0, 0), *2 * ((row.padding, row.padding),), (0, 0)))
            views = sliding_window_view(x, (row.kernel, row.kernel), (1, 2))
            views = views[:, :: row.stride, :: row.stride]
            x = np.einsum("nijcpq,pqcd->nijd", views, kernel, optimize=True) + bias
        else:
            x = x.reshape(len(x), -1) @ kernel + bias
        if not isinstance(row, Classifier):
            x = np.maximum(x, 0.0)
    return x


def softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def windows_of(image, size, step):
    """Return every window of an image [h, w, C], [rows, columns, *size, C]."""
    height, width = size
    return np.stack(
        [
            np.stack(
                [
                    image[top : top + height, left : left + width]
                    for left in range(0, image.shape[1] - width + 1, step)
                ]
            )
            for top in range(0, image.shape[0] - height + 1, step)
        ]
    )
