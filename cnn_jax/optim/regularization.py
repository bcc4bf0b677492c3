"""What surrounds an update rule: clipping, penalties, decay and a bound on the weights."""

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.optim.epochs import check_positive
from cnn_jax.optim.parameter_names import Chosen, check_chosen, chosen


@dataclass(frozen=True)
class ClipByGlobalNorm:
    """Shorten a gradient that is longer than ``limit``: Pascanu et al. 2013, Algorithm 1.

    g <- g limit / |g| where |g| > limit, with |g| the norm over all parameters together.
    A norm that is no finite number makes every gradient NaN, so that it is not missed.

    Attributes:
        limit: positive.
    """

    limit: float

    def __post_init__(self) -> None:
        check_positive("limit", self.limit)

    def apply(self, grads: Any) -> Any:
        """Return the clipped gradients."""
        squares = [jnp.sum(jnp.square(g)) for g in jax.tree.leaves(grads)]
        norm = jnp.sqrt(sum(squares, start=jnp.zeros(())))
        factor = jnp.where(jnp.isfinite(norm), jnp.minimum(1.0, self.limit / norm), jnp.nan)
        return jax.tree.map(lambda g: (factor * g).astype(g.dtype), grads)


@dataclass(frozen=True)
class ClipByValue:
    """Cut every single derivative to [-limit, limit].

    Attributes:
        limit: positive.
    """

    limit: float

    def __post_init__(self) -> None:
        check_positive("limit", self.limit)

    def apply(self, grads: Any) -> Any:
        """Return the clipped gradients."""
        return jax.tree.map(lambda g: jnp.clip(g, -self.limit, self.limit), grads)


@dataclass(frozen=True)
class Penalty:
    """A term of the loss: l2 / 2 times the sum of squares plus l1 times that of sizes.

    Its gradient, l2 w + l1 sign(w) with sign(0) = 0, is added to the loss's. With both
    numbers it is the elastic net (Zou and Hastie 2005). The lecture's R(W), the sum of
    squares times lambda, has l2 = 2 lambda.

    Attributes:
        l1: at least 0.
        l2: at least 0; not both are 0.
        on: which parameters.
    """

    l1: float = 0.0
    l2: float = 0.0
    on: Chosen = "all"

    def __post_init__(self) -> None:
        for name in ("l1", "l2"):
            _check_not_negative(name, getattr(self, name))
        if self.l1 == self.l2 == 0.0:
            raise ValueError("l1 and l2 are both 0; leave the penalty out")
        check_chosen(self.on)

    def add_gradient(self, grads: Any, params: Any) -> Any:
        """Return the gradients with that of the penalty added."""

        def add(grad: Array, weight: Array, penalised: bool) -> Array:
            if penalised and self.l2:
                grad = grad + self.l2 * weight
            if penalised and self.l1:
                grad = grad + self.l1 * jnp.sign(weight)
            return grad

        return jax.tree.map(add, grads, params, chosen(params, self.on))


@dataclass(frozen=True)
class DecoupledDecay:
    """Shrink the weights beside the update: w <- w - rate strength w.

    Loshchilov and Hutter 2019, with the whole rate as the factor, as in optax and PyTorch
    (``AdamW``): the lambda of the paper's Algorithms 1 and 2, which is multiplied by the
    schedule alone, is ``strength`` times the rate at the start. The w is that before the
    step, and no velocity sees it.

    Attributes:
        strength: positive.
        on: which parameters.
    """

    strength: float
    on: Chosen = "all"

    def __post_init__(self) -> None:
        check_positive("strength", self.strength)
        check_chosen(self.on)

    def apply(self, updates: Any, params: Any, rate: Float[Array, ""]) -> Any:
        """Return the updates with the decay added."""

        def shrink(update: Array, weight: Array, decays: bool) -> Array:
            if not decays:
                return update
            return (update - rate * (self.strength * weight)).astype(update.dtype)

        return jax.tree.map(shrink, updates, params, chosen(params, self.on))


@dataclass(frozen=True)
class MaxNorm:
    """Scale a unit's incoming weights back to ``limit`` where an update made them longer.

    Srivastava et al. 2014, Section 5.1 and Appendix A.2: |w| <= c for the vector w of the
    weights that come into a unit, its bias not among them. That is a column of a dense
    kernel [in, out] and a filter of a convolution's [height, width, in, out]: the last
    axis counts the units. Vectors, such as biases, are left alone.

    Attributes:
        limit: c; positive.
        on: which parameters.
        root_mean_square: True: the bound is on the root of the mean square of w instead, as
            Zeiler and Fergus 2014, Section 3, bound their filters by 0.1.
    """

    limit: float
    on: Chosen = "kernels"
    root_mean_square: bool = False

    def __post_init__(self) -> None:
        check_positive("limit", self.limit)
        check_chosen(self.on)

    def apply(self, updates: Any, params: Any) -> Any:
        """Return the updates after which every unit is within its bound, to rounding."""

        def project(update: Array, weight: Array, bounded: bool) -> Array:
            if not bounded or weight.ndim < 2:
                return update
            moved = weight + update
            size = moved.size // moved.shape[-1] if self.root_mean_square else 1
            squares = jnp.sum(
                jnp.square(moved), axis=tuple(range(moved.ndim - 1)), keepdims=True
            )
            factor = jnp.minimum(1.0, self.limit / jnp.sqrt(squares / size))
            # Not moved * factor - weight: an update that is kept stays as it was.
            return update + (factor - 1.0) * moved

        return jax.tree.map(project, updates, params, chosen(params, self.on))


def _check_not_negative(name: str, value: float) -> None:
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{name} {value} is not a number of at least 0")
