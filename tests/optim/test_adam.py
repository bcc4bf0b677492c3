import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.codec import decode, encode
from cnn_jax.optim.optimizers import Adam
from cnn_jax.optim.regularization import DecoupledDecay
from cnn_jax.optim.schedules import Constant, StepDecay
from tests.optim.descent import START, descend, gradient, rates_of

FALLING = StepDecay(0.25, factor=0.5, at_epochs=(1,)).build(3.0)


@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_it_is_algorithm_1_of_the_paper(decay):
    beta1, beta2, epsilon, scales = 0.75, 0.875, 1e-3, [1.0, 1.0, 0.5, 1.0, 1.0, 0.25]
    w, m, v, expected = START.copy(), 0.0, 0.0, []
    for t, (rate, scale) in enumerate(zip(rates_of(FALLING, 6), scales, strict=True), 1):
        g = gradient(w) + decay * w
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        mean, square = m / (1 - beta1**t), v / (1 - beta2**t)
        w = w - rate * scale * mean / (np.sqrt(square) + epsilon)
        expected.append(w)
    optimizer = Adam(beta1, beta2, epsilon, weight_decay=decay).build(FALLING)
    # The powers of beta are computed in float32.
    seen = descend(optimizer, START, gradient, 6, scales)
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_the_first_step_is_the_rate_whatever_the_gradient():
    optimizer = Adam().build(Constant(0.001).build(1.0))
    params = {"kernel": jnp.array([1.0, -2.0, 3.0])}
    grads = {"kernel": jnp.array([1e-3, -50.0, 7.0])}
    updates = jax.jit(lambda g, p: optimizer.update(g, optimizer.init(p), p)[0])(
        grads, params
    )
    # Section 2.1; epsilon takes 1e-8 / 1e-3 of the first one.
    np.testing.assert_allclose(updates["kernel"], [-1e-3, 1e-3, -1e-3], rtol=2e-5)


def test_decoupled_decay_is_seen_by_neither_mean():
    rate, strength = 0.25, 0.5
    plain, decayed = (
        Adam(**fields).build(Constant(rate).build(1.0))
        for fields in ({}, {"decoupled_decay": DecoupledDecay(strength)})
    )
    params, grads = jnp.array([2.0, -4.0]), jnp.array([1.0, 0.5])
    (a, seen), (b, also) = (
        jax.jit(lambda g, p, o=o: o.update(g, o.init(p), p))(grads, params)
        for o in (plain, decayed)
    )
    np.testing.assert_allclose(b - a, -rate * strength * params, rtol=1e-5)
    assert jax.tree.all(jax.tree.map(np.array_equal, seen, also))


def test_it_is_written_and_read_back():
    optimizer = Adam(0.8, 0.99, weight_decay=1e-4, decay_biases=False)
    assert decode(encode(optimizer)) == optimizer


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"beta1": 1.0}, r"beta1 1.0 is not in \[0, 1\)"),
        ({"beta2": -0.5}, "beta2 -0.5"),
        ({"epsilon": 0.0}, "epsilon 0.0"),
        ({"weight_decay": -1.0}, "weight_decay -1.0"),
    ],
)
def test_bad_numbers_are_refused_when_declared(fields, says):
    with pytest.raises(ValueError, match=says):
        Adam(**fields)
