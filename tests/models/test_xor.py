"""XOR by the network ``mlp``: the lecture's step units, the ReLU solution, and learned."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.layers.activations import relu, tanh
from cnn_jax.layers.rows import Classifier, Dense
from cnn_jax.models.mlp import MLP
from cnn_jax.models.perceptron import step
from cnn_jax.training.losses import cross_entropy

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)[:, None, None, :]
XOR = np.array([0, 1, 1, 0])
TABLE = (Dense("hidden", 2), Classifier("output"))


def network(activation, outputs=1):
    return MLP(
        num_classes=outputs, input_shape=(1, 1, 2), table=TABLE, activation=activation
    )


def by_hand(c, w, b):
    hidden = {"kernel": np.ones((2, 2), np.float32), "bias": np.float32(c)}
    output = {"kernel": np.float32(w)[:, None], "bias": np.float32([b])}
    return {"params": {"hidden": hidden, "output": output}}


def test_two_step_units_and_a_third():
    # h1 = [x1 + x2 > 0.5], h2 = [x1 + x2 > 1.5], y = [h1 - h2 > 0.5]
    variables = by_hand([-0.5, -1.5], [1.0, -1.0], -0.5)
    scores = network(step).apply(variables, CORNERS, train=False)
    np.testing.assert_array_equal(step(scores)[:, 0], XOR)


def test_the_relu_solution_gives_xor_itself():
    variables = by_hand([0.0, -1.0], [1.0, -2.0], 0.0)
    scores = network(relu).apply(variables, CORNERS, train=False)
    np.testing.assert_array_equal(scores[:, 0], XOR)


def mean_loss(model, params):
    scores = model.apply({"params": params}, CORNERS, train=False)
    return cross_entropy(scores, jnp.asarray(XOR)).mean()


@pytest.mark.slow
def test_gradient_descent_finds_it_from_most_starts():
    model, optimizer = network(tanh, outputs=2), optax.sgd(0.5, momentum=0.9)

    def train(key):
        params = model.init(key, CORNERS, train=False)["params"]

        def descend(state, _):
            params, opt_state = state
            gradient = jax.grad(lambda p: mean_loss(model, p))(params)
            updates, opt_state = optimizer.update(gradient, opt_state)
            return (optax.apply_updates(params, updates), opt_state), None

        start = (params, optimizer.init(params))
        (params, _), _ = jax.lax.scan(descend, start, length=300)
        return model.apply({"params": params}, CORNERS, train=False).argmax(-1)

    guesses = jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), 8))
    # Two hidden units can end in a local minimum, so not every start succeeds.
    assert (np.asarray(guesses) == XOR).all(-1).sum() >= 4


def test_without_a_hidden_layer_the_best_is_to_know_nothing():
    model = network(tanh, outputs=2).clone(table=TABLE[1:])
    zero = {"kernel": np.zeros((2, 2), np.float32), "bias": np.zeros(2, np.float32)}
    zero = {"output": zero}
    loss, gradient = jax.jit(jax.value_and_grad(lambda p: mean_loss(model, p)))(zero)
    # The loss of a linear classifier is convex: no gradient means no better weights.
    assert all(np.abs(leaf).max() < 1e-7 for leaf in jax.tree.leaves(gradient))
    assert loss == pytest.approx(np.log(2), rel=1e-6)
