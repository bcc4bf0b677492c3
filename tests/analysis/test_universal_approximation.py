"""The error of one hidden layer against its width, and the theorem's two conditions."""

import numpy as np
import pytest

from cnn_jax.analysis.universal_approximation import (
    approximation_errors,
    as_mlp,
    fit_hidden_layer,
    wave_with_a_corner,
)

WIDTHS = (4, 8, 16, 32, 64, 128)


@pytest.mark.parametrize(
    ("activation", "reached"),
    [
        (np.tanh, 0.01),
        (lambda x: np.maximum(x, 0), 0.01),
        (lambda x: (x > 0) * 1.0, 0.4),  # steps: slowly
    ],
    ids=["tanh", "relu", "step"],
)
def test_more_units_come_nearer(activation, reached):
    errors = approximation_errors(WIDTHS, activation=activation)
    assert [one.width for one in errors] == list(WIDTHS)
    squared = [one.root_mean_square for one in errors]
    assert squared == sorted(squared, reverse=True)
    assert squared[-1] < 0.1 * squared[0]
    assert errors[-1].largest <= reached < errors[0].largest
    assert all(one.largest >= one.root_mean_square for one in errors)


def test_a_polynomial_activation_stops_at_its_degree():
    # Squares of lines are parabolas, whatever their number: the best parabola is the end.
    x = np.linspace(-1, 1, 5000)
    target = wave_with_a_corner(x)
    best = np.polynomial.Polynomial.fit(x, target, 2)(x)
    floor = np.sqrt(np.square(best - target).mean())
    errors = approximation_errors((8, 64), activation=np.square)
    for one in errors:
        assert one.root_mean_square == pytest.approx(floor, rel=0.01)
    assert floor > 0.3


def test_outside_the_compact_set_nothing_is_promised():
    layer = fit_hidden_layer(64)
    far = np.array([5.0])
    assert abs(layer(far) - wave_with_a_corner(far))[0] > 1.0


def test_it_holds_on_any_interval_and_for_any_continuous_function():
    errors = approximation_errors((4, 64), np.exp, interval=(2.0, 5.0), seed=3)
    assert errors[1].largest < 0.01 * errors[0].largest


def test_the_approximation_is_a_network_of_the_package():
    layer = fit_hidden_layer(32)
    model, variables = as_mlp(layer)
    x = np.linspace(-1, 1, 50)
    scores = model.apply(variables, x.astype(np.float32)[:, None, None, None], train=False)
    # float32 sums of 32 terms of up to 30
    np.testing.assert_allclose(scores[:, 0], layer(x), atol=1e-4)


def test_the_same_seed_gives_the_same_units_the_first_of_a_wider_layer():
    np.testing.assert_array_equal(
        fit_hidden_layer(8).slopes, fit_hidden_layer(16).slopes[:8]
    )
    assert fit_hidden_layer(8, seed=1).slopes[0] != fit_hidden_layer(8).slopes[0]


@pytest.mark.parametrize(("width", "interval"), [(0, (0.0, 1.0)), (3, (1.0, 1.0))])
def test_no_units_and_empty_intervals_are_refused(width, interval):
    with pytest.raises(ValueError, match="at least 1 unit"):
        fit_hidden_layer(width, interval=interval)
