"""Optimizers as the papers use them, as optax transformations.

Whatever the rule, a step does these things, in this order:

1. the gradient is clipped (``clip``);
2. the gradients of the penalties are added (``weight_decay``, ``penalties``);
3. the rule turns it into an update, at the rate of this step (momentum, RMSProp, Adam);
4. weights decay beside it, at the same rate (``decoupled_decay``);
5. each unit's weights are held within their bound (``max_norm``).

The rate of a step is the schedule's times ``rate_scale``, an argument of ``update`` that is
1 unless a plateau has lowered it.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from cnn_jax.optim.epochs import RateFunction, check_positive
from cnn_jax.optim.regularization import (
    ClipByGlobalNorm,
    ClipByValue,
    DecoupledDecay,
    MaxNorm,
    Penalty,
)
from cnn_jax.optim.update_rules import (
    UpdateRule,
    adam_rule,
    momentum_rule,
    rms_prop_rule,
)


class Optimizer(Protocol):
    """An update rule with what surrounds it."""

    def build(self, rate: RateFunction) -> optax.GradientTransformationExtraArgs:
        """Return the transformation; its state counts the steps.

        Its ``update(grads, state, params, *, rate_scale=1.0)`` multiplies the rate of this
        step, a number or a scalar array.

        Args:
            rate: learning rate as a function of the step count, from ``Schedule.build``.
        """
        ...


class OptimizerState(NamedTuple):
    """State of every optimizer here.

    Attributes:
        steps: taken so far.
        rule: state of the update rule.
    """

    steps: Int[Array, ""]
    rule: Any


@dataclass(frozen=True, kw_only=True)
class _Surrounded:
    """The fields that every rule shares; see the head of this module for their order.

    Attributes:
        clip: bound on the gradient of the loss alone, before penalties.
        penalties: further terms of the loss: L1, L2, elastic net.
        decoupled_decay: decay that no velocity sees.
        max_norm: bound on each unit's incoming weights.
    """

    clip: ClipByGlobalNorm | ClipByValue | None = None
    penalties: tuple[Penalty, ...] = ()
    decoupled_decay: DecoupledDecay | None = None
    max_norm: MaxNorm | None = None


@dataclass(frozen=True)
class Sgd(_Surrounded):
    """Stochastic gradient descent with momentum and coupled weight decay.

    With g the gradient, d the weight decay, m the momentum and e the rate of the step::

        v <- m v + (g + d w)      w <- w - e v    the rate outside the velocity
        v <- m v + e (g + d w)    w <- w - v      the rate inside it

    Outside is the convention of optax and PyTorch. Inside is that of the lecture, of Caffe
    and Keras, and of Krizhevsky et al. 2012, Section 5: v <- 0.9 v - 0.0005 e w - e g; w <-
    w + v. At a constant rate they are the same; after the rate has dropped, the old v
    counts at the new rate outside and at the old one inside.

    Nesterov's momentum (Sutskever et al. 2013, Equations 3 and 4, written for the
    parameters at which the gradient is taken) steps along the velocity that the next step
    would have, m v + (g + d w) outside and m v + e (g + d w) inside, with v the new one.

    Attributes:
        momentum: in [0, 1); 0 keeps no v.
        weight_decay: d, at least 0. The penalty is d/2 times the sum of squares.
        decay_biases: True: every parameter decays, as the formula above says. False: only
            those called ``kernel`` do; never biases, batch-norm scales or PReLU slopes.
            For a choice of one's own: ``penalties=(Penalty(l2=d, on=...),)``.
        nesterov: as above.
        rate_inside: as above.
        clip: bound on the gradient of the loss alone, before penalties.
        penalties: further terms of the loss: L1, L2, elastic net.
        decoupled_decay: decay that no velocity sees.
        max_norm: bound on each unit's incoming weights.
    """

    momentum: float = 0.9
    weight_decay: float = 0.0
    decay_biases: bool = True
    nesterov: bool = False
    rate_inside: bool = False

    def __post_init__(self) -> None:
        _check_rule(self.momentum, self.weight_decay)
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov needs a momentum above 0")

    def build(self, rate: RateFunction) -> optax.GradientTransformationExtraArgs:
        """Return the transformation; see ``Optimizer.build``."""
        rule = momentum_rule(
            self.momentum, nesterov=self.nesterov, rate_inside=self.rate_inside
        )
        return _transformation(rule, rate, self, self.weight_decay, self.decay_biases)


@dataclass(frozen=True)
class RmsProp(_Surrounded):
    """RMSProp (Tieleman and Hinton 2012, Lecture 6e) in TensorFlow's form, with momentum.

    With g the gradient, d the weight decay, e the rate of the step, r the decay::

        s <- r s + (1 - r) (g + d w)^2
        v <- m v + e (g + d w) / sqrt(s + epsilon)        w <- w - v

    This is ``tf.train.RMSPropOptimizer`` (tensorflow/python/training/rmsprop.py), with
    which Inception v3 was trained: s starts at one, epsilon is inside the root and the
    rate inside the velocity. PyTorch and optax start s at zero; in PyTorch epsilon is
    outside the root and the rate outside the velocity.

    Szegedy et al. 2016, Section 8, print the decay 0.9 and epsilon 1; the momentum of 0.9
    is that of the released training program (``inception_train.py``). With epsilon 1 and
    small gradients a step is close to one of ``Sgd``.

    Attributes:
        decay: r, in [0, 1).
        epsilon: positive.
        momentum: in [0, 1); 0 keeps no v.
        weight_decay: d, at least 0. The penalty is d/2 times the sum of squares.
        decay_biases: whether others than the parameters called ``kernel`` decay.
        initial_mean_square: s before the first step; at least 0.
        clip: bound on the gradient of the loss alone, before penalties.
        penalties: further terms of the loss: L1, L2, elastic net.
        decoupled_decay: decay that no velocity sees.
        max_norm: bound on each unit's incoming weights.
    """

    decay: float = 0.9
    epsilon: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 0.0
    decay_biases: bool = True
    initial_mean_square: float = 1.0

    def __post_init__(self) -> None:
        _check_rule(self.momentum, self.weight_decay)
        check_positive("epsilon", self.epsilon)
        if not 0.0 <= self.decay < 1.0:
            raise ValueError(f"decay {self.decay} is not in [0, 1)")
        if not 0.0 <= self.initial_mean_square < math.inf:
            raise ValueError(
                f"initial_mean_square {self.initial_mean_square} is not at least 0"
            )

    def build(self, rate: RateFunction) -> optax.GradientTransformationExtraArgs:
        """Return the transformation; see ``Optimizer.build``."""
        rule = rms_prop_rule(
            self.decay, self.epsilon, self.momentum, self.initial_mean_square
        )
        return _transformation(rule, rate, self, self.weight_decay, self.decay_biases)


@dataclass(frozen=True)
class Adam(_Surrounded):
    """Adam: Kingma and Ba 2015, Algorithm 1.

    With g the gradient, d the weight decay, e the rate of step t = 1, 2, ...::

        m <- beta1 m + (1 - beta1) (g + d w)      v <- beta2 v + (1 - beta2) (g + d w)^2
        w <- w - e (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)

    The defaults are the paper's; it proposes the rate 0.001. AdamW is ``decoupled_decay``
    without ``weight_decay``.

    Attributes:
        beta1: in [0, 1).
        beta2: in [0, 1).
        epsilon: outside the root; positive.
        weight_decay: d, at least 0. The penalty is d/2 times the sum of squares.
        decay_biases: whether others than the parameters called ``kernel`` decay.
        clip: bound on the gradient of the loss alone, before penalties.
        penalties: further terms of the loss: L1, L2, elastic net.
        decoupled_decay: decay that neither mean sees.
        max_norm: bound on each unit's incoming weights.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    decay_biases: bool = True

    def __post_init__(self) -> None:
        check_positive("epsilon", self.epsilon)
        for name in ("beta1", "beta2"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} {getattr(self, name)} is not in [0, 1)")
        _check_weight_decay(self.weight_decay)

    def build(self, rate: RateFunction) -> optax.GradientTransformationExtraArgs:
        """Return the transformation; see ``Optimizer.build``."""
        rule = adam_rule(self.beta1, self.beta2, self.epsilon)
        return _transformation(rule, rate, self, self.weight_decay, self.decay_biases)


def _transformation(
    rule: UpdateRule,
    rate: RateFunction,
    around: _Surrounded,
    weight_decay: float,
    decay_biases: bool,
) -> optax.GradientTransformationExtraArgs:
    """Return the five parts of a step as one transformation."""
    penalties = around.penalties
    if weight_decay > 0.0:
        on: Any = "all" if decay_biases else "kernels"
        penalties = (Penalty(l2=weight_decay, on=on), *penalties)

    def init(params: Any) -> OptimizerState:
        return OptimizerState(jnp.zeros((), jnp.int32), rule.init(params))

    def update(
        grads: Any, state: OptimizerState, params: Any, *, rate_scale: Any = 1.0, **_: Any
    ) -> tuple[Any, OptimizerState]:
        now = jnp.asarray(rate(state.steps))
        now = now * jnp.asarray(rate_scale, now.dtype)
        if around.clip is not None:
            grads = around.clip.apply(grads)
        for penalty in penalties:
            grads = penalty.add_gradient(grads, params)
        way, rule_state = rule.update(grads, state.rule, now)
        updates = jax.tree.map(jnp.negative, way)
        if around.decoupled_decay is not None:
            updates = around.decoupled_decay.apply(updates, params, now)
        if around.max_norm is not None:
            updates = around.max_norm.apply(updates, params)
        return updates, OptimizerState(state.steps + 1, rule_state)

    return optax.GradientTransformationExtraArgs(init, update)


def _check_rule(momentum: float, weight_decay: float) -> None:
    if not 0.0 <= momentum < 1.0:
        raise ValueError(f"momentum {momentum} is not in [0, 1)")
    _check_weight_decay(weight_decay)


def _check_weight_decay(weight_decay: float) -> None:
    if not 0.0 <= weight_decay < math.inf:
        raise ValueError(f"weight_decay {weight_decay} is not a number of at least 0")
