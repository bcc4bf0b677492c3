import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from cnn_jax.layers.local_response_norm import local_response_norm


def _by_loops(a, k, n, alpha, beta):
    """Krizhevsky et al. 2012, Section 3.3, as printed."""
    out = np.zeros_like(a)
    channels = a.shape[-1]
    for index in np.ndindex(a.shape):
        *pixel, i = index
        total = 0.0
        for j in range(max(0, i - n // 2), min(channels - 1, i + n // 2) + 1):
            total += a[(*pixel, j)] ** 2
        out[index] = a[index] / (k + alpha * total) ** beta
    return out


def test_six_channels_at_one_pixel_give_the_worked_numbers():
    a = jnp.arange(1.0, 7.0)
    np.testing.assert_allclose(
        local_response_norm(a),
        [0.5942915817, 1.1878710105, 1.7801403936, 2.370418559, 2.9634657383, 3.5573544195],
        rtol=1e-6,  # float32
    )


def test_alpha_over_n_gives_the_scaling_of_caffe_and_torch():
    a = jnp.arange(1.0, 7.0)
    np.testing.assert_allclose(
        local_response_norm(a, alpha=1e-4 / 5),
        [
            0.5945411318,
            1.1889396136,
            1.7830752045,
            2.3768100636,
            2.9711016329,
            3.5655624308,
        ],
        rtol=1e-6,  # float32
    )


@pytest.mark.parametrize(
    ("k", "n", "alpha", "beta"),
    [(2.0, 5, 1e-4, 0.75), (1.0, 5, 2e-1, 0.75), (0.5, 3, 0.3, 0.5), (2.0, 11, 0.1, 1.0)],
)
def test_it_equals_a_loop_in_double_precision(draw, k, n, alpha, beta):
    a = 3.0 * draw.standard_normal((2, 3, 2, 8), np.float32)
    ours = local_response_norm(a, k=k, n=n, alpha=alpha, beta=beta)
    expected = _by_loops(np.asarray(a, np.float64), k, n, alpha, beta)
    np.testing.assert_allclose(ours, expected, rtol=1e-5)  # float32


def test_one_channel_alone_is_divided_by_its_own_square():
    np.testing.assert_allclose(
        local_response_norm(jnp.array([[3.0]]), k=1.0, n=1, alpha=1.0, beta=0.5),
        [[3.0 / np.sqrt(10.0)]],
        rtol=1e-6,  # float32
    )


@pytest.mark.parametrize("n", [0, -1, 4])
def test_an_even_neighbourhood_is_refused(n):
    with pytest.raises(ValueError, match=f"n = {n} channels: a positive odd number"):
        local_response_norm(jnp.ones((1, 6)), n=n)


@pytest.mark.parametrize("beta", [0.75, 0.5])
def test_the_written_gradient_is_the_derivative(draw, beta):
    x = draw.normal(size=(2, 3, 3, 7))
    with jax.enable_x64(True):
        check_grads(
            lambda x: local_response_norm(x, k=1.0, n=3, alpha=0.5, beta=beta),
            (jnp.asarray(x, jnp.float64),),
            order=1,
            modes=["rev"],
        )
