"""The pure steps: ``(state, data, positions) -> (state, metrics)``."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Int, PyTree

from cnn_jax.training.losses import Loss
from cnn_jax.training.metrics import Metrics, measure, merge, zero_metrics
from cnn_jax.training.state import TrainState
from cnn_jax.types import Batch, Images, Key, Labels, Pixels


class TrainData(NamedTuple):
    """The training split as it lies on the device.

    Attributes:
        images: uint8 pixels of all examples.
        labels: of all examples.
        facts: arrays that ``prepare`` needs (mean image, colour components, ...).
    """

    images: Pixels
    labels: Labels
    facts: PyTree


Prepare = Callable[[Key, Pixels, PyTree], Images]
"""Augment and normalise a batch of pixels: (key, pixels, facts) -> images."""
TrainStep = Callable[
    [TrainState, TrainData, Int[Array, " batch"]], tuple[TrainState, Metrics]
]
EvalStep = Callable[[PyTree, Batch, PyTree], Metrics]


def make_train_step(
    model: Any,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    prepare: Prepare,
    *,
    auxiliary_weight: float = 0.0,
) -> TrainStep:
    """Return the pure training step of one batch.

    Args:
        model: its ``apply`` takes ``(variables, images, train=True)``.
        loss: of each example; the step descends the batch mean.
        optimizer: applied to that mean's gradient.
        prepare: makes the network's input from pixels, with a key for the batch.
        auxiliary_weight: of the loss of each auxiliary head (logits that the model sows
            into ``aux_logits``); metrics are those of the main head alone.
    """

    def train_step(
        state: TrainState, data: TrainData, positions: Int[Array, " batch"]
    ) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.key(state.seed), state.step)
        augmentation_key, dropout_key = jax.random.split(key)
        images = prepare(augmentation_key, data.images[positions], data.facts)
        labels = data.labels[positions]

        def batch_loss(params: PyTree) -> tuple[Array, tuple[PyTree, Metrics]]:
            logits, updated = model.apply(
                {"params": params, "batch_stats": state.batch_stats},
                images,
                train=True,
                rngs={"dropout": dropout_key},
                mutable=["batch_stats", "aux_logits"],
            )
            losses = loss(logits, labels)
            metrics = measure(losses, logits, labels, jnp.ones_like(losses))
            total = losses.mean()
            for auxiliary in jax.tree.leaves(updated.get("aux_logits", {})):
                total = total + auxiliary_weight * loss(auxiliary, labels).mean()
            return total, (updated.get("batch_stats", {}), metrics)

        grads, (batch_stats, metrics) = jax.grad(batch_loss, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        bad = ~jnp.isfinite(metrics.loss_sum) & (state.diverged_at < 0)
        return (
            TrainState(
                step=state.step + 1,
                params=optax.apply_updates(state.params, updates),
                batch_stats=batch_stats,
                opt_state=opt_state,
                seed=state.seed,
                totals=merge(state.totals, metrics),
                diverged_at=jnp.where(bad, state.step, state.diverged_at),
            ),
            metrics,
        )

    return train_step


def several_steps(train_step: TrainStep) -> TrainStep:
    """Return a step over positions [steps, batch]: as many steps in one dispatch.

    Its metrics are those of all its examples together.
    """

    def steps(
        state: TrainState, data: TrainData, positions: Int[Array, "steps batch"]
    ) -> tuple[TrainState, Metrics]:
        def one(
            carry: tuple[TrainState, Metrics], rows: Int[Array, " batch"]
        ) -> tuple[tuple[TrainState, Metrics], None]:
            state, metrics = train_step(carry[0], data, rows)
            return (state, merge(carry[1], metrics)), None

        (state, metrics), _ = lax.scan(one, (state, zero_metrics()), positions)
        return state, metrics

    return steps


def make_eval_step(
    model: Any, loss: Loss, normalize: Callable[[Pixels, PyTree], Images]
) -> EvalStep:
    """Return the pure evaluation of one padded and masked batch.

    Args:
        model: its ``apply`` takes ``(variables, images, train=False)``.
        loss: of each example.
        normalize: makes the network's input from pixels and facts, without chance.
    """

    def eval_step(variables: PyTree, batch: Batch, facts: PyTree) -> Metrics:
        logits = model.apply(variables, normalize(batch.images, facts), train=False)
        return measure(loss(logits, batch.labels), logits, batch.labels, batch.mask)

    return eval_step
