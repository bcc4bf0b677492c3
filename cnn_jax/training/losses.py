"""Losses: one value for each example."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.types import Labels, Logits

Loss = Callable[[Logits, Labels], Float[Array, " batch"]]


def cross_entropy(logits: Logits, labels: Labels) -> Float[Array, " batch"]:
    """Return -log softmax(logits)[label] of each example, in nats.

    The lecture's binary form, which adds log(1 - y) of the other classes, is the loss of
    independent sigmoid outputs, not of a softmax.
    """
    scores = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(scores, labels[:, None], axis=-1)[:, 0]
