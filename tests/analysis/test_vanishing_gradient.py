import pytest

from cnn_jax.analysis.vanishing_gradient import gradient_bound, steepest_slope
from cnn_jax.layers.activations import hard_tanh, relu, scaled_tanh, sigmoid, softplus, tanh


@pytest.mark.parametrize(
    ("activation", "slope"),
    [(sigmoid, 0.25), (tanh, 1), (relu, 1), (hard_tanh, 1), (scaled_tanh, 1.7159 * 2 / 3)],
)
def test_the_steepest_slope_is_the_formulas(activation, slope):
    assert steepest_slope(activation) == pytest.approx(slope, rel=1e-6)  # float32


def test_a_slope_that_is_only_approached_is_seen_far_out():
    assert 0.999 < steepest_slope(softplus) < 1.0


@pytest.mark.parametrize("layers", [0, 1, 2, 8, 16])
def test_sigmoids_leave_a_quarter_a_layer(layers):
    assert gradient_bound(sigmoid, layers) == pytest.approx(0.25**layers, rel=1e-5)
    assert gradient_bound(relu, layers) == 1.0


def test_fewer_than_no_layers_are_refused():
    with pytest.raises(ValueError, match="-1 layers; at least 0"):
        gradient_bound(sigmoid, -1)
