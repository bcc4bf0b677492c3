"""Answers of the package to the lectures' exercises about shapes, sizes and windows.

``SHAPES`` has a function for each exercise, from its inputs to what should be its answer.
"""

import math
from functools import partial

import jax.numpy as jnp

import cnn_jax
from cnn_jax.analysis.activation_memory import activation_megabytes, activation_values
from cnn_jax.kernels.convolution import convolve, cross_correlate
from cnn_jax.kernels.pooling import average_pool, l2_pool, max_pool
from cnn_jax.layers.batch_norm_conv import same_padding
from cnn_jax.layers.rows import Classifier, Conv, MaxPool
from cnn_jax.layers.stochastic_pooling import StochasticPool
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.maths.geometry import output_size
from cnn_jax.models.mlp import MLP


def _image(values):
    return jnp.asarray(values, jnp.float32)[None, :, :, None]


def _convolution(function):
    def answer(inputs):
        kernel = jnp.asarray(inputs["h"], jnp.float32)[:, :, None, None]
        options = {"stride": inputs.get("stride", 1), "padding": inputs.get("pad", 0)}
        return function(_image(inputs["x"]), kernel, **options)[0, :, :, 0]

    return answer


def _pool(function):
    return lambda inputs: function(_image(inputs["x"]))[0, :, :, 0]


def _outsize(inputs):
    return output_size(inputs["N"], inputs["K"], inputs["S"], inputs["P"])


def _layer(row, *shape, num_classes=1):
    """The row of a network of one layer, with its output shape and parameters."""
    model = TableNetwork(num_classes=num_classes, input_shape=shape, table=(row,))
    return cnn_jax.layer_table(model)[0]


def _conv(features, kernel, *shape, padding=0):
    whole, single = (
        _layer(Conv("conv", n, kernel, padding=padding), *shape) for n in (features, 1)
    )
    return {
        "output": whole.output_shape,
        "params_per_filter": single.parameters,
        "params": whole.parameters,
    }


def _pick(answer, *keys):
    return {key: answer[key] for key in keys}


def _kernel_size(model, scope):
    return math.prod(trace_variables(model)["params"][scope]["kernel"].shape)


def _fc_inputs(inputs):
    def inputs_of_a_neuron(channels):
        shape = (*inputs["image"], channels)
        neuron = MLP(num_classes=1, input_shape=shape, table=(Classifier("neuron"),))
        return cnn_jax.count_macs(neuron)

    return {"grey": inputs_of_a_neuron(1), "rgb": inputs_of_a_neuron(3)}


def _table_cnn(_):
    model = cnn_jax.create_model("exercise_cnn")
    rows = cnn_jax.layer_table(model)
    return {
        "shapes": [model.input_shape, *(row.output_shape for row in rows)],
        "params": [0, *(row.parameters for row in rows)],
        "total": cnn_jax.count_parameters(model),
    }


def _conv_with_same_padding(_):
    padding = same_padding(28, 3, 1)
    assert padding.before == padding.after
    answer = _conv(100, 3, 28, 28, 3, padding=padding.before)
    assert answer["output"] == (28, 28, 100)
    return {"padding": padding.before, **_pick(answer, "params_per_filter", "params")}


def _alexnet_rows():
    model = cnn_jax.create_model("alexnet")
    return model, {row.name: row for row in cnn_jax.layer_table(model)}


def _alexnet_conv1(_):
    model, rows = _alexnet_rows()
    return {
        "weights": _kernel_size(model, "conv1"),
        "with_bias": rows["conv1"].parameters,
        "output": rows["conv1"].output_shape,
    }


def _alexnet_pool1(_):
    pool = _alexnet_rows()[1]["pool1"]
    return {"output": pool.output_shape, "params": pool.parameters}


def _vgg16_params(_):
    model = cnn_jax.create_model("vgg_d")
    rows = cnn_jax.layer_table(model)
    total = cnn_jax.count_parameters(model)
    dense = sum(row.parameters for row in rows if row.name.startswith("fc"))
    with_weights = [row.name for row in rows if row.parameters]
    return {
        "with_bias": total,
        "without_bias": sum(_kernel_size(model, name) for name in with_weights),
        "fc_share": round(dense / total, 4),
    }


def _vgg16_memory(_):
    model = cnn_jax.create_model("vgg_d")
    return {
        "floats": activation_values(model),
        "MB": round(activation_megabytes(model), 2),
    }


def _sparse_vs_dense(_):
    shape = (1000, 1000, 1)
    conv = TableNetwork(input_shape=shape, table=(Conv("conv", 20, 5),))
    dense = MLP(num_classes=10**6, input_shape=shape, table=(Classifier("fc"),))
    return {
        "conv_weights": _kernel_size(conv, "conv"),
        "conv_with_bias": cnn_jax.count_parameters(conv),
        "fc_weights": _kernel_size(dense, "fc"),
    }


def _lenet5(_):
    count = cnn_jax.count_parameters
    return {
        "paper_1998": count(cnn_jax.create_model("lenet5")),
        "modern_full_c3": count(cnn_jax.create_model("lenet5_modern")),
    }


def _stochastic(images):
    return StochasticPool(2, 2).apply({}, images, train=False)


_OUTSIZES = """N6_K3_S1_P0 N8_K3_S1_P0 N227_K11_S4_P0 N55_K3_S2_P0 N7_K3_S1_P0 N7_K3_S2_P0
N7_K3_S1_P1 N32_K5_S1_P0 N32_K5_S1_P2 N63_K7_S2_P0 N63_K7_S1_P3 N32_K2_S2_P0"""

SHAPES = {
    "conv_7x7_cross_correlation": _convolution(cross_correlate),
    "conv_7x7_true_convolution": _convolution(convolve),
    "conv_7x7_stride2": _convolution(cross_correlate),
    "conv_7x7_same_pad1": _convolution(cross_correlate),
    "maxpool_2x2s2": _pool(partial(max_pool, size=2, stride=2)),
    "avgpool_2x2s2": _pool(partial(average_pool, size=2, stride=2)),
    "l2pool_2x2s2": _pool(partial(l2_pool, size=2, stride=2)),
    "stochastic_pool_test_time": _pool(_stochastic),
    **{f"outsize_{case}": _outsize for case in _OUTSIZES.split()},
    "fc_on_image_input_count": _fc_inputs,
    "exercise1": lambda _: (
        _layer(Classifier("fc"), 300, 300, 3, num_classes=100).parameters
    ),
    "exercise2": lambda _: _conv(100, 5, 300, 300, 3)["params"],
    "exercise3": lambda _: _layer(Conv("conv", 32, 7, 2), 63, 63, 16).output_shape,
    "exercise4": lambda _: same_padding(63, 7, 1).before,
    "exercise5": lambda _: _layer(MaxPool("pool", 2, 2), 32, 32, 16).output_shape,
    # A window of one pixel sees the padded image as it is.
    "exercise6": lambda _: _layer(Conv("conv", 8, 1, padding=2), 15, 15, 8).output_shape,
    "conv_layer_10_5x5": lambda _: _conv(10, 5, 32, 32, 3, padding=2),
    "volume_example_6_filters": lambda _: _pick(_conv(6, 5, 32, 32, 3), "output", "params"),
    "table_cnn": _table_cnn,
    "conv_params_28x28x3_100_3x3": _conv_with_same_padding,
    "alexnet_conv1_params": _alexnet_conv1,
    "alexnet_pool1": _alexnet_pool1,
    "lenet5_params": _lenet5,
    "vgg16_params": _vgg16_params,
    "vgg16_memory": _vgg16_memory,
    "sparse_vs_dense": _sparse_vs_dense,
}
