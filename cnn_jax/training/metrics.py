"""Metrics are sums over examples; only ``summarize`` divides."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cnn_jax.types import Labels, Logits


class Metrics(NamedTuple):
    """Sums over the examples of one or more batches.

    Attributes:
        loss_sum: in nats.
        wrong: examples whose top-1 guess is not the label.
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

    Args:
        losses: of each example, in nats.
        logits: class scores.
        labels: the right classes.
        mask: 1.0 for an example, 0.0 for padding.
    """
    real = mask > 0
    right = (jnp.argmax(logits, -1) == labels) & jnp.isfinite(logits).all(-1)
    return Metrics(
        jnp.sum(jnp.where(real, losses, 0.0), dtype=jnp.float32),
        jnp.sum(real & ~right, dtype=jnp.int32),
        jnp.sum(real, dtype=jnp.int32),
    )


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
