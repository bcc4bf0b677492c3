import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.analysis.compute import layer_macs
from cnn_jax.layers.gaussian_units import GaussianUnits, radial_basis
from cnn_jax.layers.rows import flatten


def test_units_equal_the_formula(draw):
    z, templates = draw.standard_normal((4, 3)), draw.standard_normal((3, 5))
    expected = np.empty((4, 5))
    for n, unit in np.ndindex(4, 5):
        distance = np.linalg.norm(templates[:, unit] - z[n])
        expected[n, unit] = np.exp(-(distance**2) / 1.5**2)
    found = radial_basis(
        jnp.asarray(z, jnp.float32), jnp.asarray(templates, jnp.float32), 1.5
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # float32


def test_a_template_answers_to_itself_with_one_and_at_sigma_with_one_over_e():
    z = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    found = radial_basis(z, jnp.array([[3.0], [4.0]]), 5.0)
    np.testing.assert_allclose(found, [[1.0], [np.exp(-1.0)]], rtol=1e-6)


def test_far_templates_near_one_another_are_told_apart():
    # The expanded square would have lost all digits of the difference.
    found = radial_basis(jnp.array([[4096.0]]), jnp.array([[4096.25, 4097.0]]), 1.0)
    np.testing.assert_allclose(found, np.exp([[-0.0625, -1.0]]), rtol=1e-6)


def test_the_layer_learns_its_templates_and_counts_its_squares(draw):
    class Network(nn.Module):
        input_shape = (2, 2, 1)

        @nn.compact
        def __call__(self, x, *, train):
            return GaussianUnits(7, sigma=2.0, name="units")(flatten(x))

    assert layer_macs(Network()) == {"units": 28}
    x = np.ones((3, 4), np.float32)
    templates = draw.standard_normal((4, 7), np.float32)
    found = GaussianUnits(7, sigma=2.0).apply({"params": {"kernel": templates}}, x)
    np.testing.assert_allclose(found, radial_basis(x, templates, 2.0), rtol=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"sigma = 0.0; a positive number"):
        radial_basis(jnp.ones((1, 2)), jnp.ones((2, 1)), 0.0)
    with pytest.raises(ValueError, match=r"\(1, 3\) and templates of shape \(2, 1\)"):
        radial_basis(jnp.ones((1, 3)), jnp.ones((2, 1)), 1.0)
