"""Optimizers as the papers use them, as optax transformations."""

from dataclasses import dataclass
from typing import Any

import jax
import optax
from jax.tree_util import DictKey

from cnn_jax.optim.schedules import RateFunction


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent with momentum and coupled weight decay.

    With g the gradient, d the weight decay, m the momentum and e the rate of the step::

        v <- m v + (g + d w)        w <- w - e v
        w <- w - e (m v + g + d w)  instead, with v the new one, where nesterov

    At a constant rate this is the update of Krizhevsky et al. 2012, Section 5,
    v <- 0.9 v - 0.0005 e w - e g; w <- w + v. The paper keeps the rate inside v, optax and
    PyTorch keep it outside: after the rate has dropped, the old v counts at the new rate
    here and at the old one there.

    Attributes:
        momentum: in [0, 1); 0 keeps no v.
        weight_decay: d, at least 0. The penalty is d/2 times the sum of squares.
        decay_biases: True: every parameter decays, as the formula above says. False: only
            those called ``kernel`` do; never biases, batch-norm scales or PReLU slopes.
        nesterov: step along the velocity that the next step would have.
    """

    momentum: float = 0.9
    weight_decay: float = 0.0
    decay_biases: bool = True
    nesterov: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"momentum {self.momentum} is not in [0, 1)")
        if not 0.0 <= self.weight_decay < float("inf"):
            raise ValueError(
                f"weight_decay {self.weight_decay} is not a number of at least 0"
            )
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov needs a momentum above 0")

    def build(self, rate: RateFunction) -> optax.GradientTransformation:
        """Return the transformation; its state holds v and the count of steps.

        Args:
            rate: learning rate as a function of the step count, from ``Schedule.build``.
        """
        parts = []
        if self.weight_decay > 0.0:
            mask = None if self.decay_biases else kernels_only
            parts.append(optax.add_decayed_weights(self.weight_decay, mask))
        if self.momentum > 0.0:
            parts.append(optax.trace(self.momentum, nesterov=self.nesterov))
        return optax.chain(*parts, optax.scale_by_learning_rate(rate))


def kernels_only(params: Any) -> Any:
    """Return a tree of bools like ``params``: True where the parameter is a ``kernel``."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path[-1:] == (DictKey("kernel"),), params
    )
