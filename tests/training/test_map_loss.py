import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.training.losses import cross_entropy
from cnn_jax.training.map_loss import MaximumAPosteriori


def losses(rubbish, scores, labels):
    return jax.jit(MaximumAPosteriori(rubbish))(jnp.float32(scores), jnp.asarray(labels))


def test_it_is_equation_9(draw):
    penalties = draw.uniform(0, 12, (6, 5))
    labels = np.array([0, 4, 2, 2, 1, 3])
    for y, label, ours in zip(
        penalties, labels, losses(3.0, -penalties, labels), strict=True
    ):
        expected = y[label] + np.log(np.exp(-3.0) + np.exp(-y).sum())
        assert ours == pytest.approx(expected, rel=1e-5, abs=1e-6)  # float32 exponentials


def test_its_gradient_pulls_the_label_and_pushes_the_others_above_rubbish_no_more():
    y = jnp.array([[9.0, 2.0, 40.0]])

    def energy(y):
        return MaximumAPosteriori(rubbish=4.0)(-y, jnp.array([0]))[0]

    (slopes,) = jax.jit(jax.grad(energy))(y)
    posterior = np.exp([-9.0, -2.0, -40.0, -4.0])
    posterior /= posterior.sum()
    np.testing.assert_allclose(slopes, [1, 0, 0] - posterior[:3], rtol=1e-5)  # float32
    assert slopes[1] < -0.8  # nearer than rubbish: pushed
    assert abs(slopes[2]) < 1e-12  # far beyond it: left alone


def test_without_rubbish_it_is_the_cross_entropy(draw):
    scores = -draw.uniform(0, 12, (6, 5)).astype(np.float32)
    labels = np.array([0, 4, 2, 2, 1, 3])
    plain = jax.jit(cross_entropy)(scores, labels)
    np.testing.assert_allclose(losses(1e4, scores, labels), plain, rtol=1e-5, atol=1e-6)


def test_distances_of_thousands_stay_finite():
    (loss,) = losses(1.0, [[-5e3, -6e3]], [1])
    assert loss == pytest.approx(6e3 - 1.0)


@pytest.mark.parametrize("rubbish", [0.0, -1.0, float("inf"), float("nan")])
def test_rubbish_is_a_positive_number(rubbish):
    with pytest.raises(ValueError, match=f"rubbish {rubbish} is not a positive number"):
        MaximumAPosteriori(rubbish=rubbish)
