import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.layers import activations
from cnn_jax.layers.activations import Maxout, PReLU, activate, pieces_of

X = np.array([-3, -2, -1, -0.5, 0, 0.5, 1, 2, 3])


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("identity", lambda x: x),
        ("relu", lambda x: np.where(x > 0, x, 0)),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("tanh", lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))),
        ("leaky_relu", lambda x: np.where(x > 0, x, 0.01 * x)),
        ("elu", lambda x: np.where(x > 0, x, np.exp(x) - 1)),
        ("scaled_tanh", lambda x: 1.7159 * np.tanh(2 * x / 3)),
        ("hard_tanh", lambda x: np.maximum(-1, np.minimum(1, x))),
        ("softplus", lambda x: np.log(1 + np.exp(x))),
    ],
)
def test_activations_equal_their_formulas(name, formula):
    ours = getattr(activations, name)(jnp.asarray(X, jnp.float32))
    np.testing.assert_allclose(ours, formula(X), rtol=2e-6, atol=1e-7)  # float32


def test_softmax_is_a_distribution_over_the_last_axis(draw):
    scores = draw.standard_normal((3, 5))
    ours = activations.softmax(jnp.asarray(scores, jnp.float32))
    powers = np.exp(scores)
    expected = powers / powers.sum(1, keepdims=True)
    np.testing.assert_allclose(ours, expected, rtol=2e-6)  # float32
    shifted = activations.softmax(jnp.asarray(scores + 7.0, jnp.float32))
    np.testing.assert_allclose(shifted, ours, rtol=4e-6)


def test_softmax_and_softplus_of_huge_values_are_finite():
    np.testing.assert_array_equal(
        activations.softmax(jnp.array([1e4, -1e4, 1e4])), [0.5, 0.0, 0.5]
    )
    np.testing.assert_array_equal(activations.softplus(jnp.array([1e4, -1e4])), [1e4, 0])


def test_hard_tanh_has_slope_one_inside_and_zero_outside():
    slopes = jax.vmap(jax.grad(activations.hard_tanh))(jnp.array([-2.0, -0.9, 0.9, 2.0]))
    np.testing.assert_array_equal(slopes, [0, 1, 1, 0])


def test_lecuns_tanh_maps_one_to_one():
    # LeCun et al. 1998, appendix A: f(1) = 1 and f(-1) = -1, to the printed digits.
    ones = activations.scaled_tanh(jnp.array([1.0, -1.0]))
    np.testing.assert_allclose(ones, [0.9999972559, -0.9999972559], rtol=1e-6)  # float32


@pytest.mark.parametrize(
    ("name", "steepest"), [("sigmoid", 0.25), ("tanh", 1.0), ("relu", 1.0)]
)
def test_the_steepest_slope_is_the_lectures(name, steepest):
    slopes = jax.vmap(jax.grad(getattr(activations, name)))(jnp.linspace(-4.0, 4.0, 81))
    assert slopes.max() == pytest.approx(steepest, abs=1e-6)  # float32


def test_relu_has_slope_zero_at_zero():
    assert jax.grad(activations.relu)(0.0) == 0.0


def test_prelu_starts_with_a_quarter_of_the_negative_side(rng):
    out, variables = PReLU().init_with_output(rng, jnp.array([[-2.0, 2.0, -1.0]]))
    np.testing.assert_array_equal(out, [[-0.5, 2.0, -0.25]])
    np.testing.assert_array_equal(variables["params"]["slope"], [0.25, 0.25, 0.25])


def test_prelu_with_a_slope_above_one_is_not_a_maximum(rng):
    out, _ = PReLU(initial_slope=2.0).init_with_output(rng, jnp.array([[-1.0, 1.0]]))
    np.testing.assert_array_equal(out, [[-2.0, 1.0]])  # max(x, 2 x) would give -1 and 2


def test_prelu_slopes_belong_to_channels_and_learn_from_negative_inputs_only(rng):
    x = jnp.array([[[-1.0, 3.0], [2.0, -4.0]]])  # two pixels, two channels
    variables = PReLU().init(rng, x)
    gradient = jax.grad(lambda v: PReLU().apply(v, x).sum())(variables)
    np.testing.assert_array_equal(gradient["params"]["slope"], [-1.0, -4.0])
    shared = PReLU(shared=True).init(rng, x)
    assert shared["params"]["slope"].shape == (1,)


def test_maxout_takes_the_largest_of_neighbouring_pieces():
    x = jnp.array([[1.0, 5.0, -2.0, -3.0, 0.0, 4.0]])
    np.testing.assert_array_equal(Maxout(2)(x), [[5.0, -2.0, 4.0]])
    np.testing.assert_array_equal(Maxout(3)(x), [[5.0, 4.0]])


def test_maxout_of_two_affine_maps_gives_the_worked_number():
    # w1 = (1, -1), b1 = 0; w2 = (0.5, 2), b2 = -1; x = (2, 1): max(1, 2).
    pieces = jnp.array([2.0, 1.0]) @ jnp.array([[1.0, 0.5], [-1.0, 2.0]])
    np.testing.assert_array_equal(Maxout(2)(pieces + jnp.array([0.0, -1.0])), [2.0])


def test_only_maxout_needs_more_features_below():
    assert pieces_of(Maxout(3)) == 3
    assert pieces_of(activations.relu) == pieces_of(PReLU) == 1


def test_an_activation_with_parameters_gets_the_scope_it_is_given(rng):
    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x):
            return activate(PReLU, x, name="conv1_activation")

    variables = Layer().init(rng, jnp.ones((1, 3)))
    assert variables["params"]["conv1_activation"]["slope"].shape == (3,)
