"""Batch normalisation by NumPy loops, and ours, called as its tests need it."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from cnn_jax.layers.batch_layout import BatchLayout, batch_layout
from cnn_jax.layers.batch_norm import BatchNorm, BatchNormalization

HOW = BatchNorm(epsilon=1e-3, momentum=0.9)
ROWS, CHANNELS = 8, 3
SHAPES = [(ROWS, 4, 5, CHANNELS), (ROWS, CHANNELS)]


class Results(NamedTuple):
    y: np.ndarray
    mean: np.ndarray  # running
    var: np.ndarray


def random_variables(draw, dtype=np.float32, scale=True):
    params = {"scale": 1 + 0.3 * draw.standard_normal(CHANNELS)} if scale else {}
    params["bias"] = draw.standard_normal(CHANNELS)
    statistics = {
        "mean": draw.standard_normal(CHANNELS),
        "var": draw.uniform(0.5, 2.0, CHANNELS),
    }
    tree = {"params": params, "batch_stats": statistics}
    return jax.tree.map(lambda a: a.astype(dtype), tree)


def random_input(draw, shape=SHAPES[0], dtype=np.float32):
    spread = np.linspace(0.5, 3.0, CHANNELS)
    return (2.0 + spread * draw.standard_normal(shape)).astype(dtype)


def by_loops(x, variables, how=HOW, *, train, rows=ROWS):
    """Ioffe and Szegedy 2015, Algorithms 1 and 2, on ``rows`` rows at a time."""
    x = np.float64(x)
    params, old = (
        jax.tree.map(np.float64, variables[k]) for k in ("params", "batch_stats")
    )
    y, means, variances = np.zeros_like(x), [], []
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        mean, var = np.zeros(CHANNELS), np.zeros(CHANNELS)
        for c in range(CHANNELS):
            values = x[part, ..., c].ravel()
            mean[c] = values.sum() / values.size
            var[c] = ((values - mean[c]) ** 2).sum() / values.size
            use = (mean[c], var[c]) if train else (old["mean"][c], old["var"][c])
            normal = (x[part, ..., c] - use[0]) / np.sqrt(use[1] + how.epsilon)
            y[part, ..., c] = normal * params.get("scale", np.ones(CHANNELS))[c]
            y[part, ..., c] += params["bias"][c]
        if how.unbiased:
            var *= values.size / (values.size - 1)
        means.append(mean)
        variances.append(var)
    if not train:
        return Results(y, old["mean"], old["var"])
    new = [np.mean(means, 0), np.mean(variances, 0)]
    kept = how.momentum
    running = [
        kept * old[k] + (1 - kept) * n for k, n in zip(("mean", "var"), new, strict=True)
    ]
    return Results(y, *running)


def normalize(variables, x, how=HOW, layout=BatchLayout(), train=True):  # noqa: B008, frozen
    with batch_layout(layout):
        y, new = BatchNormalization(how).apply(
            variables, x, train=train, mutable=["batch_stats"]
        )
    statistics = new.get("batch_stats", variables["batch_stats"])
    return Results(y, statistics["mean"], statistics["var"])


compiled = partial(jax.jit, static_argnames=("how", "layout", "train"))(normalize)


@partial(jax.jit, static_argnames="layout")
def gradients_of(variables, x, weights, layout=BatchLayout()):  # noqa: B008, frozen
    """Of a weighted sum of the outputs, in x and the parameters; running statistics too."""

    def loss(params, x):
        results = normalize(variables | {"params": params}, x, layout=layout)
        return (results.y * weights).sum(), results

    gradients, results = jax.grad(loss, (0, 1), has_aux=True)(variables["params"], x)
    return gradients, results


def assert_close(found, expected, rtol=1e-5, atol=1e-5):
    # float32: sums of up to 160 values of size 3, their squares subtracted.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), found, expected
    )
