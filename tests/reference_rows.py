"""Hold a table network against the layer rows of a paper."""

import math

import flax.linen as nn
import jax
import numpy as np

from cnn_jax.analysis.compute import layer_macs
from cnn_jax.layers.tracing import trace_output, trace_variables


def row_shapes(model):
    """Return the output shape of each row, for one image, in order; found in one trace."""
    shapes = {}

    def record(call, arguments, named, context):
        y = call(*arguments, **named)
        if context.method_name == "apply_row":
            shapes[arguments[0].name] = y.shape[1:]
        return y

    with nn.intercept_methods(record):
        trace_output(model)
    return shapes


def row_parameters(model):
    """Return the parameters of each row, its activation's included; 0 for none."""
    counts = {row.name: 0 for row in model.table}
    for scope, leaves in trace_variables(model)["params"].items():
        counts[scope.removesuffix("_activation")] += sum(
            math.prod(leaf.shape) for leaf in jax.tree.leaves(leaves)
        )
    return counts


def check_rows(model, expected):
    """Assert names, order, output shapes, parameters and multiply-adds of every row.

    Args:
        model: a network that is its table.
        expected: rows ``(name, output shape, parameters, multiply-adds)`` in order.

    Returns:
        How many numbers and shapes were compared.
    """
    macs, parameters = layer_macs(model), row_parameters(model)
    assert [row.name for row in model.table] == [row[0] for row in expected]
    found = [
        (name, shape, parameters[name], macs.get(name, 0))
        for name, shape in row_shapes(model).items()
    ]
    assert found == [tuple(row) for row in expected]
    return 3 * len(expected)


def loud_scores(model, images, draw):
    """Return scores and parameters drawn so that the first layer still matters at the last.

    Kernels keep the mean square of their input (He et al. 2015), biases and slopes are
    random too, so that one in the wrong place shows.
    """

    def value(path, leaf):
        kernel = path[-1].key == "kernel"
        scale = math.sqrt(2.0 / math.prod(leaf.shape[:-1])) if kernel else 0.3
        return (scale * draw.standard_normal(leaf.shape)).astype(np.float32)

    params = jax.tree_util.tree_map_with_path(value, trace_variables(model)["params"])
    apply = jax.jit(lambda p, x: model.apply({"params": p}, x, train=False))
    return np.asarray(apply(params, images)), params
