"""Answers of the package to the lectures' exercises about units and learning.

``LEARNING`` has a function for each exercise, from its inputs to what should be its answer.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import cnn_jax
from cnn_jax.analysis.vanishing_gradient import gradient_bound
from cnn_jax.layers import activations
from cnn_jax.layers.batch_norm import BatchNorm, BatchNormalization
from cnn_jax.layers.drop_connect import DropConnect
from cnn_jax.layers.gaussian_units import radial_basis
from cnn_jax.layers.local_response_norm import local_response_norm
from cnn_jax.layers.rows import Classifier, Dense
from cnn_jax.models.mlp import MLP
from cnn_jax.models.perceptron import Perceptron, step
from cnn_jax.optim.optimizers import Sgd
from cnn_jax.optim.schedules import Constant
from cnn_jax.training.losses import cross_entropy, sigmoid_cross_entropy, squared_error
from tests.exercise_results import PRINTED


def _compiled(answer):
    """Compute an answer as one program: a program for each operation takes seconds."""
    return lambda _: jax.jit(answer)()


@_compiled
def _one_hot():
    """The direction in which half the squared distance to the one-hot label falls."""
    scores, label = jnp.zeros((1, 5)), jnp.array([3])
    return -jax.grad(lambda s: squared_error(s, label).sum())(scores)[0]


_TWO_UNITS = MLP(
    num_classes=1, input_shape=(1, 2, 1), table=(Dense("hidden", 2), Classifier("output"))
)


def _error(params, x, model=_TWO_UNITS):
    # Of one class: the one-hot label is the lecture's y = 1.
    scores = model.apply({"params": params}, x, train=False)
    return squared_error(scores, jnp.array([0])).sum()


@jax.jit
def _backprop_numbers(params, x):
    variables = {"params": params}
    linear = _TWO_UNITS.clone(activation=activations.identity)
    h = cnn_jax.features(linear, variables, x, "hidden")[0]
    u = cnn_jax.features(_TWO_UNITS, variables, x, "hidden")[0]
    f = _TWO_UNITS.apply(variables, x, train=False)
    # The output unit alone, as a network that sees u.
    upper = _TWO_UNITS.clone(table=_TWO_UNITS.table[1:])
    above = {"output": params["output"]}
    by_units = jax.grad(_error, 1)(above, u.reshape(1, 1, 2, 1), upper).ravel()
    by_output = jax.grad(lambda f: squared_error(f, jnp.array([0])).sum())(f).ravel()
    grads = jax.grad(_error)(params, x)
    hidden, output = grads["hidden"], grads["output"]
    (w1, w3), (w2, w4) = hidden["kernel"]
    return {
        "forward": {"h": h, "u": u, "f": f[0, 0], "E": _error(params, x)},
        "deltas_1_5": [*by_output, *by_units, *hidden["bias"]],
        "grads": {
            **{"w1": w1, "w2": w2, "w3": w3, "w4": w4},
            **{"w5": output["kernel"][0, 0], "w6": output["kernel"][1, 0]},
            **{"b1": hidden["bias"][0], "b2": hidden["bias"][1], "b3": output["bias"][0]},
        },
    }


def _backprop(inputs):
    assert inputs["y"] == 1.0
    weights, biases = (np.float32(inputs[key]) for key in ("w1..w6", "b1..b3"))
    # Kernels are [inputs, units]; w1 and w2 lead to the first unit.
    hidden = {"kernel": weights[:4].reshape(2, 2).T, "bias": biases[:2]}
    output = {"kernel": weights[4:].reshape(2, 1), "bias": biases[2:]}
    x = np.float32(inputs["x"]).reshape(1, 1, 2, 1)
    numbers = _backprop_numbers({"hidden": hidden, "output": output}, x)
    return {**numbers, "max_abs_diff_vs_central_difference_eps1e-6": PRINTED}


CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)[:, None, None, :]
XOR = np.array([0, 1, 1, 0])


def _two_units(activation, c, w, b):
    """The outputs at the corners of two units of x1 + x2 + c and one unit above."""
    table = (Dense("hidden", 2), Classifier("output"))
    model = MLP(num_classes=1, input_shape=(1, 1, 2), table=table, activation=activation)
    hidden = {"kernel": jnp.ones((2, 2)), "bias": jnp.array(c, jnp.float32)}
    output = {"kernel": jnp.array(w, jnp.float32)[:, None], "bias": jnp.array([b * 1.0])}
    params = {"hidden": hidden, "output": output}
    return model.apply({"params": params}, CORNERS, train=False)[:, 0]


def _best_single_unit():
    """The most corners that one threshold unit gets right, of a grid of all 14 kinds."""
    at = np.arange(-2.0, 2.1, 0.5, np.float32)
    w1, w2, b = (axis.ravel() for axis in np.meshgrid(at, at, at))
    units = Perceptron(num_classes=len(b), input_shape=(1, 1, 2))
    params = {"output": {"kernel": np.stack([w1, w2]), "bias": b}}
    answers = np.asarray(step(units.apply({"params": params}, CORNERS, train=False)))
    # Of the 16 functions of two bits, one unit has all but XOR and its opposite.
    assert len(np.unique(answers, axis=1).T) == 14
    return (answers == XOR[:, None]).mean(0).max()


def _xor(_):
    steps = step(_two_units(step, (-0.5, -1.5), (1, -1), -0.5))
    np.testing.assert_array_equal(steps, XOR)
    relu = {"c": (0, -1), "w": (1, -2), "b": 0}
    np.testing.assert_array_equal(_two_units(activations.relu, **relu), XOR)
    best = _best_single_unit()
    return {
        "h1": "step(x1+x2-0.5)",
        "h2": "step(x1+x2-1.5)",
        "y": "step(h1-h2-0.5)",
        "relu_solution": {"W": np.ones((2, 2)), **relu},
        "single_layer_possible": bool(best == 1.0),
        "best_single_layer_accuracy": best,
    }


@_compiled
def _activation_values():
    x = jnp.array([-3, -2, -1, -0.5, 0, 0.5, 1, 2, 3])
    slope = {"params": {"slope": jnp.array([0.25])}}
    pieces = {
        "kernel": jnp.array([[1.0, 0.5], [-1.0, 2.0]]),
        "bias": jnp.array([0.0, -1.0]),
    }
    maxout = DropConnect(2, keep=1.0, activation=activations.Maxout(2))
    point = jnp.array([[2.0, 1.0]])
    y = maxout.apply({"params": {"dense": pieces}}, point, train=False)
    return {
        "x": x,
        "y": {
            "sigmoid": activations.sigmoid(x),
            "tanh": activations.tanh(x),
            "relu": activations.relu(x),
            "leaky_relu_0.01": activations.leaky_relu(x),
            "prelu_a0.25": activations.PReLU(shared=True).apply(slope, x[:, None])[:, 0],
            "elu_a1": activations.elu(x),
            "softplus": activations.softplus(x),
            "hard_tanh": activations.hard_tanh(x),
            "lecun_tanh_1.7159tanh(2x/3)": activations.scaled_tanh(x),
            "rbf_w0_sigma1": radial_basis(x[:, None], jnp.zeros((1, 1)), 1.0)[:, 0],
        },
        "maxout_example": {
            "w1": pieces["kernel"][:, 0],
            "b1": pieces["bias"][0],
            "w2": pieces["kernel"][:, 1],
            "b2": pieces["bias"][1],
            "x": point[0],
            "y": y[0, 0],
        },
    }


@_compiled
def _softmax_cross_entropy():
    z, label = jnp.array([[1.0, 2.0, 3.0]]), jnp.array([2])
    y = activations.softmax(z)
    # The deck's formula is that of sigmoids whose outputs are these y.
    deck = sigmoid_cross_entropy(jax.scipy.special.logit(y), label)
    return {
        "z": z[0],
        "softmax": y[0],
        "cross_entropy_for_class_index_2": cross_entropy(z, label)[0],
        "deck_formula_with_(1-d)log(1-y)_would_give": deck[0],
    }


@jax.jit
def _descend():
    """Half of w^2, from 1, by the deck's rule with alpha 0.9 and lambda 0.1."""
    optimizer = Sgd(momentum=0.9, rate_inside=True).build(Constant(0.1).build(1.0))
    w = jnp.array(1.0)
    state, path = optimizer.init(w), []
    for _step in range(5):
        updates, state = optimizer.update(jax.grad(lambda w: 0.5 * w**2)(w), state, w)
        w = optax.apply_updates(w, updates)
        path.append(w)
    return path


def _momentum(_):
    told = {"objective": PRINTED, "w0": 1.0, "v0": 0.0, "alpha": 0.9, "lambda": 0.1}
    return {**told, "w_after_steps_1_5": _descend()}


@_compiled
def _batch_norm():
    x = jnp.array([1.0, 2.0, 4.0, 5.0])[:, None]
    # Momentum 0: the running statistics are the batch's.
    layer = BatchNormalization(BatchNorm(epsilon=1e-5, momentum=0.0))
    variables = layer.init(jax.random.key(0), x, train=False)
    y, new = layer.apply(variables, x, train=True, mutable=["batch_stats"])
    mean, variance = new["batch_stats"]["mean"][0], new["batch_stats"]["var"][0]
    xhat = {"xhat_eps1e-5": y[:, 0]}
    return {"x": x[:, 0], "mean": mean, "biased_var": variance, **xhat}


@_compiled
def _local_response_norm():
    a = jnp.arange(1.0, 7.0)
    return {
        "a": a,
        "paper_k2_n5_alpha1e-4_beta0.75": local_response_norm(a),
        "same_with_caffe_torch_alpha_over_n": local_response_norm(a, alpha=1e-4 / 5),
    }


def _vanishing(_):
    bounds = {
        str(layers): gradient_bound(activations.sigmoid, layers) for layers in (2, 4, 8, 16)
    }
    return {"sigmoid_0.25^L": bounds}


LEARNING = {
    "one_hot": _one_hot,
    "backprop_2_2_1_tanh": _backprop,
    "xor_step_network": _xor,
    "activation_values": _activation_values,
    "softmax_cross_entropy": _softmax_cross_entropy,
    "momentum_trajectory": _momentum,
    "batchnorm_example": _batch_norm,
    "lrn_example": _local_response_norm,
    "vanishing_gradient_bound": _vanishing,
}
