"""Metrics are sums over examples; only ``summarize`` divides."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from cnn_jax.training.structured_losses import right_number
from cnn_jax.types import Labels, Logits


class Metrics(NamedTuple):
    """Sums over the examples of one or more batches.

    Attributes:
        loss_sum: in nats.
        wrong: examples whose guess is not the label: all of it, where it is a number, a
            sequence or a set of classes.
        examples: how many, padding not counted.
    """

    loss_sum: Float[Array, ""]
    wrong: Int[Array, ""]
    examples: Int[Array, ""]


def zero_metrics() -> Metrics:
    """Return the metrics of no examples."""
    return Metrics(jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))


def measure(
    losses: Float[Array, " batch"],
    logits: Logits,
    labels: Labels,
    mask: Float[Array, " batch"],
) -> Metrics:
    """Score one batch; a NaN score is a wrong guess.

    The shapes tell the task: labels [N] are classes; labels [N, places] beside scores [N,
    places, classes] a sequence; labels of the scores' own shape a set of classes, guessed
    where a score is positive; others a number, see ``right_number``.

    Args:
        losses: of each example, in nats.
        logits: scores.
        labels: what is right.
        mask: 1.0 for an example, 0.0 for padding.
    """
    real = mask > 0
    finite = jnp.isfinite(logits.reshape(logits.shape[0], -1)).all(-1)
    right = _right(logits, labels) & finite
    return Metrics(
        jnp.sum(jnp.where(real, losses, 0.0), dtype=jnp.float32),
        jnp.sum(real & ~right, dtype=jnp.int32),
        jnp.sum(real, dtype=jnp.int32),
    )


def _right(logits: Logits, labels: Labels) -> Bool[Array, " batch"]:
    """Return where the guess is the label, all of it."""
    if labels.ndim == 1:
        return jnp.argmax(logits, -1) == labels
    if logits.ndim == 3:
        return (jnp.argmax(logits, -1) == labels).all(-1)
    if labels.shape == logits.shape:
        return ((logits > 0) == (labels > 0)).all(-1)
    return right_number(logits, labels)


def merge(first: Metrics, second: Metrics) -> Metrics:
    """Return the metrics of both sets of examples together."""
    return Metrics(*(a + b for a, b in zip(first, second, strict=True)))


class Summary(NamedTuple):
    """What people read: ``loss`` in nats an example, ``error`` as a fraction."""

    loss: float
    error: float
    wrong: int
    examples: int


def summarize(metrics: Metrics) -> Summary:
    """Divide the sums by the number of examples; waits for the device.

    Raises:
        ValueError: no example was counted.
    """
    examples, wrong = int(metrics.examples), int(metrics.wrong)
    if examples == 0:
        raise ValueError("metrics of no examples have no mean")
    return Summary(float(metrics.loss_sum) / examples, wrong / examples, wrong, examples)
