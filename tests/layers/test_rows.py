import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.layers import activations
from cnn_jax.layers.activations import Maxout, PReLU
from cnn_jax.layers.rows import (
    AveragePool,
    Classifier,
    Conv,
    Dense,
    LocalResponseNorm,
    MaxPool,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.tracing import count_parameters, trace_output, trace_variables

TABLE = (Conv("conv1", 6, 3, groups=2), Dense("fc2", 4), Classifier("fc3"))
NETWORK = TableNetwork(table=TABLE, input_shape=(5, 5, 2), num_classes=3)


def test_a_network_is_its_rows_one_after_the_other(draw, random_scores):
    network = TableNetwork(
        table=(
            Conv("conv1", 2, 1),
            LocalResponseNorm("norm1", k=1.0, n=3, alpha=0.1),
            MaxPool("pool1", 2, 2),
            AveragePool("pool2", 2, 2),
            Dense("fc2", 3),
            Classifier("fc3"),
        ),
        input_shape=(4, 4, 2),
        num_classes=2,
    )
    x = draw.standard_normal((2, 4, 4, 2), np.float32)
    scores, params = random_scores(network, x)
    assert list(params) == ["conv1", "fc2", "fc3"]

    maps = x @ params["conv1"]["kernel"][0, 0] + params["conv1"]["bias"]
    maps = np.maximum(maps, 0)
    maps = maps / (1 + 0.1 * (maps**2).sum(-1, keepdims=True)) ** 0.75  # n = 3 sees both
    maps = maps.reshape(2, 2, 2, 2, 2, 2).max((2, 4)).mean((1, 2))
    units = np.maximum(maps @ params["fc2"]["kernel"] + params["fc2"]["bias"], 0)
    expected = units @ params["fc3"]["kernel"] + params["fc3"]["bias"]
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)  # float32


def test_kernels_and_biases_start_where_the_network_and_its_rows_say():
    network = TableNetwork(
        table=(
            Conv("conv1", 2, 1, bias=0.5),
            Dense("fc2", 3),
            Classifier("fc3", bias=-2.0),
        ),
        input_shape=(2, 2, 1),
        initializer=jax.nn.initializers.constant(0.25),
    )
    params = network.init(jax.random.key(0), jnp.zeros((1, 2, 2, 1)), train=False)["params"]
    for name, bias in (("conv1", 0.5), ("fc2", 0.0), ("fc3", -2.0)):
        np.testing.assert_array_equal(params[name]["kernel"], 0.25)
        np.testing.assert_array_equal(params[name]["bias"], bias)


def test_the_flattened_order_is_height_width_channels(draw, random_scores):
    network = TableNetwork(table=(Classifier("fc1"),), input_shape=(2, 3, 4))
    x = draw.standard_normal((1, 2, 3, 4), np.float32)
    scores, params = random_scores(network, x)
    kernel = params["fc1"]["kernel"].reshape(2, 3, 4, 10)
    expected = np.einsum("hwc,hwck", x[0], kernel) + params["fc1"]["bias"]
    np.testing.assert_allclose(scores[0], expected, atol=1e-5)  # float32, 24 terms


@pytest.mark.parametrize(
    ("activation", "parameters"),
    [
        (activations.relu, (9 * 6 + 6) + (54 * 4 + 4) + (4 * 3 + 3)),
        # A slope for each of 6 maps and 4 units, none for the scores.
        (PReLU, (9 * 6 + 6 + 6) + (54 * 4 + 4 + 4) + (4 * 3 + 3)),
        # Three times the maps and units before the maximum, the scores as they were.
        (Maxout(3), 3 * (9 * 6 + 6) + 3 * (54 * 4 + 4) + (4 * 3 + 3)),
    ],
)
def test_any_activation_fits_any_table(activation, parameters):
    network = NETWORK.clone(activation=activation)
    assert count_parameters(network) == parameters
    assert trace_output(network) == (1, 3)


def test_parameters_stand_under_the_name_of_their_row():
    params = trace_variables(NETWORK.clone(activation=PReLU))["params"]
    assert set(params) == {"conv1", "conv1_activation", "fc2", "fc2_activation", "fc3"}


def test_only_training_draws_dropout_masks(draw, random_scores):
    network = TableNetwork(
        table=(Dense("fc1", 64, dropout=0.5), Classifier("fc2")), input_shape=(2, 2, 1)
    )
    x = draw.standard_normal((6, 2, 2, 1), np.float32)
    evaluated, params = random_scores(network, x)

    @jax.jit
    def train(x, key):
        return network.apply({"params": params}, x, train=True, rngs={"dropout": key})

    first, second = (np.asarray(train(x, jax.random.key(seed))) for seed in (1, 2))
    assert (first != second).any()
    assert (first != evaluated).any()
    # The mask of a row does not depend on the rows after it; float32 sums of 64 terms.
    np.testing.assert_allclose(train(x[:2], jax.random.key(1)), first[:2], atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 5, 2), (1, 5, 5, 3), (1, 50), (1, 2, 5, 5, 1)])
def test_images_of_another_shape_are_refused_with_both_shapes(shape):
    with pytest.raises(ValueError, match="this network takes") as refusal:
        NETWORK.init(jax.random.key(0), jnp.zeros(shape), train=False)
    assert str(shape) in str(refusal.value)
    assert "[N, H, W, 2], e.g. (N, 5, 5, 2)" in str(refusal.value)


def test_something_else_in_the_table_is_refused():
    class Surprise:
        name = "surprise"

    with pytest.raises(TypeError, match=r"is not a row of cnn_jax\.layers\.rows"):
        trace_output(NETWORK.clone(table=(Surprise(), *TABLE)))
