"""The scanning MLP against the network ``mlp`` applied to every window by itself."""

import jax
import numpy as np
import pytest

from cnn_jax.layers.activations import tanh
from cnn_jax.layers.rows import Classifier, Conv, Dense
from cnn_jax.layers.tracing import count_parameters, trace_variables
from cnn_jax.models.mlp import MLP
from cnn_jax.models.scanning_mlp import ScanningMLP

WINDOW, SIZE = 5, (9, 11)
# float32 sums of 50 terms in another order
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def scanning(step, **fields):
    table = (Conv("hidden1", 4, WINDOW, step), Conv("hidden2", 6, 1), Classifier("output"))
    return ScanningMLP(num_classes=3, input_shape=(*SIZE, 2), table=table, **fields)


def mlp(*rows):
    return MLP(num_classes=3, input_shape=(WINDOW, WINDOW, 2), table=rows)


WHOLE = mlp(Dense("hidden1", 4), Dense("hidden2", 6), Classifier("output"))
HIDDEN = mlp(Dense("hidden1", 4), Dense("hidden2", 6))


def drawn(model, draw):
    return jax.tree.map(
        lambda leaf: draw.standard_normal(leaf.shape, np.float32) / 3,
        trace_variables(model),
    )


def of_window(variables, place=None):
    """The parameters of the MLP: kernels as matrices; of one place if unshared."""
    flat = {}
    for name, layer in variables["params"].items():
        kernel, bias = layer["kernel"], layer["bias"]
        if place is not None:
            kernel, bias = kernel[place], bias[place]
        flat[name] = {"kernel": kernel.reshape(-1, kernel.shape[-1]), "bias": bias}
    return {"params": flat}


def places(step):
    tops, lefts = (range(0, size - WINDOW + 1, step) for size in SIZE)
    return [
        ((i, j), np.s_[:, top : top + WINDOW, left : left + WINDOW])
        for i, top in enumerate(tops)
        for j, left in enumerate(lefts)
    ]


def applied(model):
    return jax.jit(lambda variables, x: model.apply(variables, x, train=False))


@pytest.mark.parametrize("step", [1, 2])
def test_it_is_the_mlp_on_every_window_and_the_best_window_decides(draw, step):
    model = scanning(step)
    variables = drawn(model, draw)
    images = draw.standard_normal((2, *SIZE, 2), np.float32)
    windows = np.stack([images[window] for _, window in places(step)])
    assert len(windows) == (35 if step == 1 else 12)
    one_by_one = jax.vmap(applied(WHOLE), in_axes=(None, 0))
    expected = np.asarray(one_by_one(of_window(variables), windows)).max(0)
    np.testing.assert_allclose(applied(model)(variables, images), expected, **CLOSE)


def test_with_parameters_of_its_own_every_window_has_another_mlp(draw):
    model = scanning(2, shared=False)
    variables = drawn(model, draw)
    images = draw.standard_normal((2, *SIZE, 2), np.float32)
    windows = np.stack([images[window] for _, window in places(2)])
    networks = [of_window(variables, place) for place, _ in places(2)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *networks)
    expected = np.asarray(jax.vmap(applied(WHOLE))(stacked, windows)).max(0)
    np.testing.assert_allclose(applied(model)(variables, images), expected, **CLOSE)
    assert count_parameters(model) == 12 * count_parameters(scanning(2))


def test_the_dense_top_sees_the_last_hidden_layer_of_every_window(draw):
    model = scanning(2, top="dense")
    variables = drawn(model, draw)
    images = draw.standard_normal((2, *SIZE, 2), np.float32)
    windows = np.stack([images[window] for _, window in places(2)])
    params = of_window(variables)["params"]
    hidden = jax.vmap(applied(HIDDEN), in_axes=(None, 0))({"params": params}, windows)
    u = np.moveaxis(np.asarray(hidden), 0, 1).reshape(2, -1)  # window by window
    expected = u @ params["output"]["kernel"] + params["output"]["bias"]
    np.testing.assert_allclose(applied(model)(variables, images), expected, **CLOSE)


def test_an_object_is_found_wherever_it_is(draw):
    thing = draw.standard_normal((3, 3, 2), np.float32)
    # Moved by whole steps, and every window that sees it stays inside the image.
    images = np.zeros((4, 13, 13, 2), np.float32)
    for image, (top, left) in zip(images, [(4, 4), (6, 4), (4, 6), (6, 6)], strict=True):
        image[top : top + 3, left : left + 3] = thing
    spread = {}
    for top in ("max", "dense"):
        model = scanning(2, top=top).clone(input_shape=(13, 13, 2))
        spread[top] = np.ptp(applied(model)(drawn(model, draw), images), axis=0)
    np.testing.assert_allclose(spread["max"], 0, atol=1e-6)  # rounding
    assert spread["dense"].max() > 0.1  # a classifier of all windows knows where it is


def test_an_unknown_top_is_refused(draw):
    with pytest.raises(ValueError, match="top 'mean' is not one of"):
        trace_variables(scanning(1, top="mean"))
    assert scanning(1).activation is tanh
