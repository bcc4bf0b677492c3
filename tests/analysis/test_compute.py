import flax.linen as nn
import pytest

import cnn_jax
from cnn_jax.analysis.compute import count_macs, layer_macs
from cnn_jax.layers.rows import Classifier, Conv, Dense, MaxPool
from cnn_jax.layers.table_network import TableNetwork


def test_a_grouped_convolution_costs_a_share_of_a_dense_one():
    def network(groups):
        table = (Conv("conv1", 6, 3, stride=2, padding=1, groups=groups), Classifier("fc2"))
        return TableNetwork(table=table, input_shape=(7, 9, 4), num_classes=5)

    # 4 x 5 positions, 9 pixels, 4 channels, 6 maps; then 4 * 5 * 6 features, 5 classes.
    assert layer_macs(network(1)) == {"conv1": 20 * 9 * 4 * 6, "fc2": 120 * 5}
    assert layer_macs(network(2)) == {"conv1": 20 * 9 * 2 * 6, "fc2": 120 * 5}


def test_biases_pooling_and_activations_cost_nothing():
    table = (MaxPool("pool1", 2, 2), Dense("fc1", 3, dropout=0.5), Classifier("fc2"))
    network = TableNetwork(table=table, input_shape=(4, 4, 1), num_classes=2)
    assert layer_macs(network) == {"fc1": 4 * 3, "fc2": 3 * 2}
    assert count_macs(network) == 18


def test_layers_inside_blocks_have_their_path_and_layers_used_twice_count_twice():
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x):
            shared = nn.Dense(4, name="shared")
            return shared(shared(x))

    class Network(nn.Module):
        input_shape: tuple = (2, 2, 4)

        @nn.compact
        def __call__(self, images, *, train):
            x = nn.Conv(4, (1, 1), name="conv1")(images)
            if train or self.is_initializing():
                nn.Dense(100, name="auxiliary")(x)  # run by training only
            return Block(name="block")(x)

    # A dense layer on maps works at each of the four pixels.
    assert layer_macs(Network()) == {"conv1": 4 * 4 * 4, "block/shared": 2 * 4 * 4 * 4}


def test_counting_leaves_no_trace_behind():
    model = cnn_jax.create_model("mlp")
    assert count_macs(model) == count_macs(model) == 784 * 512 + 512 * 10


def test_a_network_that_does_not_fit_is_refused_by_name():
    table = (Conv("conv1", 6, 9), Classifier("fc2"))
    with pytest.raises(ValueError, match="conv1: a window of 9 does not fit 7 pixels"):
        count_macs(TableNetwork(table=table, input_shape=(7, 7, 1)))
