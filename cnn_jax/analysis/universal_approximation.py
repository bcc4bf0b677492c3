"""Universal approximation: the error of one hidden layer against its width.

Source: Deep Learning Basics (Johns Hopkins University), "Universal Approximation Theorem":
    f(x) = sum over N units of v_i s(w_i x + b_i) comes as near to a continuous f* as one
    likes. The lecture leaves two conditions out: x from a compact set, and s no polynomial
    (Cybenko 1989; Leshno, Lin, Pinkus and Schocken 1993); and N counts units, not
    parameters.

The hidden units are drawn at random and v is found by least squares, so nothing depends on
how well a training succeeds.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from cnn_jax.layers.activations import Activation, tanh
from cnn_jax.layers.rows import Classifier, Dense
from cnn_jax.models.mlp import MLP
from cnn_jax.types import Variables

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]

STEEPEST = 20.0
"""Bound of the slopes w_i, for an interval of length 2."""
SMALLEST = 1e-6
"""Directions of the hidden outputs with a smaller share are left out: a float32 network
could not tell them apart, and their output weights would be millions."""
POINTS = 500
"""Where the squared error is minimised; the errors are measured at ten times as many."""


class HiddenLayer(NamedTuple):
    """f(x) = sum of ``output`` * s(``slopes`` x + ``biases``): one number in, one out.

    Attributes:
        slopes: w, [N].
        biases: b, [N].
        output: v, [N].
    """

    slopes: Floats
    biases: Floats
    output: Floats

    def __call__(self, x: Floats, activation: Function = np.tanh) -> Floats:
        """Return f at the points x, [P], in float64."""
        hidden = activation(np.multiply.outer(x, self.slopes) + self.biases)
        return hidden @ self.output


class ApproximationError(NamedTuple):
    """How far f is from f*.

    Attributes:
        width: hidden units N.
        largest: |f - f*| at the worst point: the lecture's epsilon.
        root_mean_square: over the interval.
    """

    width: int
    largest: float
    root_mean_square: float


def wave_with_a_corner(x: Floats) -> Floats:
    """Return sin(3 x) + |x - 0.3|: continuous, but no polynomial and not smooth."""
    return np.sin(3 * x) + np.abs(x - 0.3)


def fit_hidden_layer(
    width: int,
    target: Function = wave_with_a_corner,
    *,
    interval: tuple[float, float] = (-1.0, 1.0),
    activation: Function = np.tanh,
    seed: int = 0,
) -> HiddenLayer:
    """Return the best output weights for ``width`` random units.

    A unit's slope is uniform, and its middle (w x + b = 0) is uniform on the interval. The
    units of a smaller width are the first of a larger one.

    Args:
        width: hidden units, at least 1.
        target: f*, of points [P].
        interval: where it is to be approximated.
        activation: s, of arrays.
        seed: of the units.

    Raises:
        ValueError: no unit, or an empty interval.
    """
    low, high = interval
    if width < 1 or not low < high:
        raise ValueError(
            f"width {width}, interval {interval}: at least 1 unit and a low end below the "
            "high one are needed"
        )
    draws = np.random.default_rng(seed).uniform(size=(width, 2))
    slopes = STEEPEST * 2 / (high - low) * (2 * draws[:, 0] - 1)
    biases = -slopes * (low + (high - low) * draws[:, 1])
    x = np.linspace(low, high, POINTS)
    hidden = activation(np.multiply.outer(x, slopes) + biases)
    output, *_ = np.linalg.lstsq(hidden, target(x), rcond=SMALLEST)
    return HiddenLayer(slopes, biases, np.asarray(output, np.float64))


def approximation_errors(
    widths: Sequence[int],
    target: Function = wave_with_a_corner,
    *,
    interval: tuple[float, float] = (-1.0, 1.0),
    activation: Function = np.tanh,
    seed: int = 0,
) -> tuple[ApproximationError, ...]:
    """Return the errors of hidden layers of several widths, in the order given.

    Args:
        widths: hidden units, each at least 1.
        target: f*, of points [P].
        interval: where it is to be approximated.
        activation: s, of arrays.
        seed: of the units.

    Raises:
        ValueError: no unit, or an empty interval.
    """
    x = np.linspace(*interval, 10 * POINTS)
    errors = []
    for width in widths:
        layer = fit_hidden_layer(
            width, target, interval=interval, activation=activation, seed=seed
        )
        away = np.abs(layer(x, activation) - target(x))
        errors.append(
            ApproximationError(
                width, float(away.max()), float(np.sqrt(np.square(away).mean()))
            )
        )
    return tuple(errors)


def as_mlp(layer: HiddenLayer, activation: Activation = tanh) -> tuple[MLP, Variables]:
    """Return the same function as the network ``mlp`` of one input and one output."""
    model = MLP(
        num_classes=1,
        input_shape=(1, 1, 1),
        table=(Dense("hidden", len(layer.output)), Classifier("output")),
        activation=activation,
    )
    hidden = {
        "kernel": jnp.asarray(layer.slopes[None], jnp.float32),
        "bias": jnp.asarray(layer.biases, jnp.float32),
    }
    output = {
        "kernel": jnp.asarray(layer.output[:, None], jnp.float32),
        "bias": jnp.zeros(1),
    }
    return model, {"params": {"hidden": hidden, "output": output}}
