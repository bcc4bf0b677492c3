import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

import cnn_jax
from cnn_jax.layers.activations import relu, tanh
from cnn_jax.layers.rows import Classifier, Dense
from cnn_jax.layers.tracing import count_parameters, trace_output, trace_variables
from cnn_jax.models.lenet5_modern import MAX_POOL_TABLE
from cnn_jax.models.mlp import MLP

# name: output shape, parameters. LeNet-5 and the PyTorch network by arithmetic; the
# exercise as its solution prints it, the last number corrected from 84.
LAYERS = {
    "lenet5_modern": {
        "conv1": ((28, 28, 6), 156),
        "pool1": ((14, 14, 6), 0),
        "conv2": ((10, 10, 16), 2_416),
        "pool2": ((5, 5, 16), 0),
        "fc1": ((120,), 48_120),
        "fc2": ((84,), 10_164),
        "out": ((10,), 850),
    },
    "mnist_net": {
        "conv1": ((24, 24, 20), 520),
        "pool1": ((12, 12, 20), 0),
        "conv2": ((8, 8, 50), 25_050),
        "pool2": ((4, 4, 50), 0),
        "fc1": ((500,), 400_500),
        "fc2": ((10,), 5_010),
    },
    "exercise_cnn": {
        "conv1": ((28, 28, 8), 608),
        "pool1": ((14, 14, 8), 0),
        "conv2": ((10, 10, 16), 3_216),
        "pool2": ((5, 5, 16), 0),
        "fc1": ((120,), 48_120),
        "fc2": ((84,), 10_164),
        "output": ((10,), 850),
    },
    "mlp": {
        "hidden": ((512,), 401_920),  # 785 * 512
        "output": ((10,), 5_130),  # 513 * 10
    },
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_has_the_sources_shape_and_parameters(name):
    model = cnn_jax.create_model(name)
    params = trace_variables(model)["params"]
    measured = {}
    for i, row in enumerate(model.table):
        shape = trace_output(model.clone(table=model.table[: i + 1]))[1:]
        leaves = jax.tree.leaves(params.get(row.name, {}))
        measured[row.name] = (shape, sum(int(np.prod(leaf.shape)) for leaf in leaves))
    assert measured == LAYERS[name]


def _convolve(x, layer):
    """Cross-correlate one image with each kernel, without padding."""
    return np.stack(
        [
            correlate(x, layer["kernel"][..., k], "valid")[:, :, 0] + layer["bias"][k]
            for k in range(layer["bias"].size)
        ],
        axis=-1,
    )


def _by_numpy(x, params, *, act, pool):
    """conv, pool, conv, pool, then dense layers with an activation between them."""
    *dense, last = [name for name in params if not name.startswith("conv")]
    for name in ("conv1", "conv2"):
        x = act(_convolve(x, params[name]))
        height, width, channels = x.shape
        x = pool(x.reshape(height // 2, 2, width // 2, 2, channels), axis=(1, 3))
    x = x.reshape(-1)
    for name in dense:
        x = act(x @ params[name]["kernel"] + params[name]["bias"])
    return x @ params[last]["kernel"] + params[last]["bias"]


def _relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize(
    ("name", "fields", "act", "pool"),
    [
        ("lenet5_modern", {}, np.tanh, np.mean),
        (
            "lenet5_modern",
            {"table": MAX_POOL_TABLE, "activation": relu},
            _relu,
            np.max,
        ),
        ("mnist_net", {}, _relu, np.max),
        ("exercise_cnn", {}, _relu, np.max),
    ],
)
def test_the_network_computes_what_its_source_says(
    draw, random_scores, name, fields, act, pool
):
    model = cnn_jax.create_model(name, **fields)
    x = draw.standard_normal((2, *model.input_shape), np.float32)
    scores, params = random_scores(model, x)
    assert scores.shape == (2, 10)
    for image, ours in zip(x, scores, strict=True):
        expected = _by_numpy(image, params, act=act, pool=pool)
        # float32 sums of up to 800 terms
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)
    assert (scores < 0).any()  # no activation after the classifier


def test_the_mlp_is_v_times_tanh_of_w_x(draw, random_scores):
    x = draw.standard_normal((3, 28, 28, 1), np.float32)
    scores, params = random_scores(cnn_jax.create_model("mlp"), x)
    hidden, output = params["hidden"], params["output"]
    u = np.tanh(x.reshape(3, 784) @ hidden["kernel"] + hidden["bias"])
    expected = u @ output["kernel"] + output["bias"]
    # float32 sums of 784 terms
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-4)


def test_the_mlp_backpropagates_the_lectures_numbers():
    # "Backward pass" of the JHU lecture, a 2-2-1 network with E = (f - y)^2 / 2; the
    # numbers are checked by central differences.
    model = MLP(
        table=(Dense("hidden", 2), Classifier("output")),
        input_shape=(1, 1, 2),
        num_classes=1,
    )
    params = {
        "hidden": {
            "kernel": jnp.array([[0.1, 0.3], [-0.2, 0.4]]),  # w1 w3 / w2 w4
            "bias": jnp.array([0.05, -0.05]),
        },
        "output": {"kernel": jnp.array([[0.5], [-0.6]]), "bias": jnp.array([0.1])},
    }
    x = jnp.array([1.0, 2.0]).reshape(1, 1, 1, 2)

    def error(params):
        f = model.apply({"params": params}, x, train=False)[0, 0]
        return 0.5 * (f - 1.0) ** 2

    value, gradients = jax.jit(jax.value_and_grad(error))(params)
    assert value == pytest.approx(1.1123504778, rel=1e-6)  # float32, here and below
    np.testing.assert_allclose(
        gradients["hidden"]["kernel"],
        [[-0.7010363523, 0.3479282298], [-1.4020727047, 0.6958564596]],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        gradients["hidden"]["bias"], [-0.7010363523, 0.3479282298], rtol=1e-5
    )
    np.testing.assert_allclose(
        gradients["output"]["kernel"], [[0.3653067522], [-1.166097914]], rtol=1e-5
    )
    np.testing.assert_allclose(gradients["output"]["bias"], [-1.4915431458], rtol=1e-5)


def test_lenet5_with_maximum_pooling_has_the_same_layers_and_parameters():
    model = cnn_jax.create_model("lenet5_modern")
    other = model.clone(table=MAX_POOL_TABLE)
    assert [row.name for row in other.table] == [row.name for row in model.table]
    assert trace_variables(other) == trace_variables(model)
    assert model.activation is tanh


def test_removing_a_dense_layer_of_lenet5_changes_the_count_as_it_must():
    model = cnn_jax.create_model("lenet5_modern")
    edited = cnn_jax.without(model, "fc2")
    # 120 * 84 + 84 go, and the classifier sees 120 units instead of 84.
    expected = 61_706 - 10_164 + (120 - 84) * 10
    assert count_parameters(edited) == expected


def test_a_perceptron_is_the_mlp_without_its_hidden_layer():
    linear = cnn_jax.without(cnn_jax.create_model("mlp"), "hidden")
    assert count_parameters(linear) == 785 * 10
