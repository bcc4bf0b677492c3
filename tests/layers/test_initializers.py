import math
from functools import partial

import jax
import numpy as np
import pytest

from cnn_jax.layers.initializers import gaussian, glorot, he, lecun_uniform

KERNEL = (5, 5, 8, 400)  # fan_in 200, fan_out 10,000


@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        (partial(gaussian, deviation=0.01), 1e-4),
        (he, 2 / 200),
        (partial(he, slope=0.25), 2 / (1.0625 * 200)),
        (glorot, 2 / (200 + 10_000)),
        (lecun_uniform, (2.4 / 200) ** 2 / 3),
        (partial(lecun_uniform, reach=1.0), (1.0 / 200) ** 2 / 3),
    ],
)
def test_the_variance_is_the_papers(rng, initializer, variance):
    weights = np.asarray(initializer(rng, KERNEL), np.float64)
    # 80,000 draws: a normal's sample variance has a relative deviation of 0.5 %.
    assert weights.var() == pytest.approx(variance, rel=0.03)
    assert abs(weights.mean()) < 6 * math.sqrt(variance / weights.size)


def test_a_dense_kernel_counts_its_rows_as_inputs(rng):
    weights = np.asarray(he(rng, (800, 100)))
    assert weights.var() == pytest.approx(2 / 800, rel=0.03)  # 80,000 draws


@pytest.mark.parametrize(
    ("initializer", "limit"),
    [(glorot, math.sqrt(6 / 10_200)), (lecun_uniform, 2.4 / 200)],
)
def test_uniform_weights_fill_their_interval_and_stay_inside(rng, initializer, limit):
    weights = np.asarray(initializer(rng, KERNEL))
    assert 0.999 * limit < np.abs(weights).max() <= limit * (1 + 1e-6)  # float32


def test_he_keeps_the_size_of_relu_features_through_ten_layers(rng, draw):
    x = draw.standard_normal((64, 256))
    for key in jax.random.split(rng, 10):
        x = np.maximum(x @ np.asarray(he(key, (256, 256))), 0.0)
    # Each layer keeps the mean square on average; ten layers of 256 units wander by
    # about sqrt(10 * 5 / 256) = 0.44.
    assert 0.3 < float((x**2).mean()) < 3.0
