"""Losses of one class an example; ``structured_losses.py`` has those of other tasks.

One value for each example. All compute in float32 at least: bfloat16 scores of a thousand
classes have two digits. A loss serves the task that its attribute ``task`` names (the
decorator ``types.serves`` writes it down), or classification if it has none.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.types import Labels, Logits

Loss = Callable[[Logits, Labels], Float[Array, " batch"]]


def cross_entropy(logits: Logits, labels: Labels) -> Float[Array, " batch"]:
    """Return -log softmax(logits)[label] of each example, in nats.

    The lecture's binary form, which adds log(1 - y) of the other classes, is the loss of
    independent sigmoid outputs, not of a softmax: ``sigmoid_cross_entropy``.
    """
    return -_of_label(jax.nn.log_softmax(_wide(logits)), labels)


@dataclass(frozen=True)
class LabelSmoothing:
    """Cross-entropy against softened labels: Szegedy et al. 2016, Section 7.

    The label's probability is 1 - epsilon + epsilon / K and that of each of the other K - 1
    classes epsilon / K; the mean over all K is part of it. In nats.

    Attributes:
        epsilon: in (0, 1); the paper's is 0.1.
    """

    epsilon: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 < self.epsilon < 1.0:
            raise ValueError(f"epsilon {self.epsilon} is not between 0 and 1")

    def __call__(self, logits: Logits, labels: Labels) -> Float[Array, " batch"]:
        """Return the loss of each example."""
        scores = jax.nn.log_softmax(_wide(logits))
        uniform = jnp.mean(scores, axis=-1)
        return -(1.0 - self.epsilon) * _of_label(scores, labels) - self.epsilon * uniform


def sigmoid_cross_entropy(logits: Logits, labels: Labels) -> Float[Array, " batch"]:
    """Return the cross-entropy of K independent sigmoids and the one-hot label, in nats.

    The lecture's -sum over k of d_k log y_k + (1 - d_k) log(1 - y_k), with y the sigmoids
    of the logits and d the one-hot label.
    """
    scores = _wide(logits)
    right = _one_hot(labels, scores)
    return jnp.sum(jax.nn.softplus(jnp.where(right, -scores, scores)), axis=-1)


def squared_error(logits: Logits, labels: Labels) -> Float[Array, " batch"]:
    """Return half the squared distance between the logits and the one-hot label.

    The E = (f - y)^2 / 2 of the lecture's backpropagation, summed over the outputs.
    """
    scores = _wide(logits)
    return jnp.sum(jnp.square(scores - _one_hot(labels, scores)), axis=-1) / 2.0


def _wide(logits: Logits) -> Logits:
    return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))


def _of_label(scores: Logits, labels: Labels) -> Float[Array, " batch"]:
    return jnp.take_along_axis(scores, labels[:, None], axis=-1)[:, 0]


def _one_hot(labels: Labels, scores: Logits) -> Array:
    return jax.nn.one_hot(labels, scores.shape[-1], dtype=bool)
