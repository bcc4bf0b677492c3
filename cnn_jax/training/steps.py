"""The pure steps: ``(state, data, taken) -> (state, metrics)``."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, PyTree

from cnn_jax.layers.batch_layout import BatchLayout, batch_layout
from cnn_jax.training.averaging import Weight, move_average
from cnn_jax.training.losses import Loss
from cnn_jax.training.metrics import Metrics, measure, merge, zero_metrics
from cnn_jax.training.precision import lower_precision
from cnn_jax.training.state import TrainState
from cnn_jax.training.train_data import (
    Taken,
    TrainData,
    examples,
    first_piece,
    pieces_of,
)
from cnn_jax.types import Batch, Images, Key, Pixels

Prepare = Callable[[Key, Pixels, PyTree], Images]
"""Augment and normalise a batch of pixels: (key, pixels, facts) -> images."""
TrainStep = Callable[[TrainState, TrainData, Taken], tuple[TrainState, Metrics]]
EvalStep = Callable[[PyTree, Batch, PyTree], Metrics]


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """How a step goes about the gradient of its batch.

    Attributes:
        auxiliary_weight: of the loss of each auxiliary head (logits that the model sows
            into ``aux_logits``); metrics are those of the main head alone.
        statistics_rows: rows that batch normalisation takes together; None for all of the
            batch.
        recompute: keep only what enters a batch normalisation for the backward pass and
            compute the rest again: less memory, more time, the same gradient.
        frozen: scopes of batch normalisations that keep to their running statistics.
        half: compute in bfloat16; parameters, statistics, loss and update stay float32.
        average: weight of the newest variables in their average; None to keep none.
        axis_name: of the devices, where each runs this step on its own rows (pmap).
        unroll: lay the pieces out one after the other in the program instead of a loop.
    """

    auxiliary_weight: float = 0.0
    statistics_rows: int | None = None
    recompute: bool = False
    frozen: frozenset[str] = frozenset()
    half: bool = False
    average: Weight | None = None
    axis_name: str | None = None
    unroll: bool = True


class _Gradient(NamedTuple):
    grads: PyTree
    batch_stats: PyTree
    metrics: Metrics


def make_train_step(
    model: Any,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    prepare: Prepare,
    options: StepOptions | None = None,
) -> TrainStep:
    """Return the pure training step of one batch.

    It takes positions [pieces, rows] in the training split, or the ``Rows`` themselves: a
    batch in that many pieces, whose gradients are accumulated. Under pmap the rows are
    this device's.

    Args:
        model: its ``apply`` takes ``(variables, images, train=True)``.
        loss: of each example; the step descends the batch mean.
        optimizer: applied to that mean's gradient; where the state has a plateau, its
            ``update`` gets ``rate_scale``.
        prepare: makes the network's input from pixels, with a key for the batch.
        options: how the gradient is computed; the plain way if not given.
    """
    how = options or StepOptions()
    optimizer = optax.with_extra_args_support(optimizer)

    def gradient(
        state: TrainState, data: TrainData, number: Any, piece: Taken
    ) -> _Gradient:
        key = jax.random.fold_in(jax.random.key(state.seed), state.step)
        augmentation_key, dropout_key = jax.random.split(key)
        pixels, labels = examples(data, piece)

        def batch_loss(params: PyTree) -> tuple[Array, tuple[PyTree, Metrics]]:
            variables = {"params": params, "batch_stats": state.batch_stats}
            inputs = images
            if how.half:
                variables, inputs = lower_precision(variables, images)
            logits, updated = model.apply(
                variables,
                inputs,
                train=True,
                rngs={"dropout": dropout_key},
                mutable=["batch_stats", "aux_logits"],
            )
            losses = loss(logits, labels)
            metrics = measure(losses, logits, labels, jnp.ones_like(losses))
            total = losses.mean()
            for auxiliary in jax.tree.leaves(updated.get("aux_logits", {})):
                total = total + how.auxiliary_weight * loss(auxiliary, labels).mean()
            return total, (updated.get("batch_stats", {}), metrics)

        with _rows_at(number, len(labels), how):
            images = prepare(augmentation_key, pixels, data.facts)
            if how.recompute:
                batch_loss = jax.checkpoint(
                    batch_loss,
                    policy=jax.checkpoint_policies.save_only_these_names(
                        "batch_norm_input", "batch_norm_moments"
                    ),
                )
            grads, (stats, metrics) = jax.grad(batch_loss, has_aux=True)(state.params)
        return _Gradient(grads, stats, metrics)

    def train_step(
        state: TrainState, data: TrainData, taken: Taken
    ) -> tuple[TrainState, Metrics]:
        if pieces_of(taken) == 1:
            found = gradient(state, data, 0, first_piece(taken))
        else:
            found = _accumulate(
                lambda number, piece: gradient(state, data, number, piece),
                taken,
                state.batch_stats,
                unroll=how.unroll,
            )
        grads, batch_stats, metrics = found
        if how.axis_name is not None:
            grads = lax.pmean(grads, how.axis_name)
            metrics = lax.psum(metrics, how.axis_name)
        scale = {"rate_scale": state.plateau.scale} if state.plateau else {}
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params, **scale)
        step = state.step + 1
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if how.average is not None:
            newest = {"params": params, "batch_stats": batch_stats}
            average = move_average(average, newest, how.average(step))
        bad = ~jnp.isfinite(metrics.loss_sum) & (state.diverged_at < 0)
        return (
            TrainState(
                step=step,
                params=params,
                batch_stats=batch_stats,
                opt_state=opt_state,
                average=average,
                plateau=state.plateau,
                seed=state.seed,
                totals=merge(state.totals, metrics),
                diverged_at=jnp.where(bad, state.step, state.diverged_at),
            ),
            metrics,
        )

    return train_step


def _rows_at(piece: Any, rows: int, how: StepOptions) -> ExitStack:
    """Let the layers know which rows of the global batch they see."""
    first: Any = piece * rows
    if how.axis_name is not None:
        first = first * lax.axis_size(how.axis_name) + rows * lax.axis_index(how.axis_name)
    stack = ExitStack()
    stack.enter_context(
        batch_layout(
            BatchLayout(
                first_row=first,
                axis_name=how.axis_name,
                statistics_rows=how.statistics_rows,
                frozen=how.frozen,
            )
        )
    )
    stack.enter_context(nn.intercept_methods(_refuse_layers_without_rows))
    return stack


def _refuse_layers_without_rows(
    call: Callable[..., Any],
    arguments: Any,
    named: Any,
    context: nn.module.InterceptorContext,
) -> Any:
    """Refuse Flax's layers that would silently depend on how the batch is cut up."""
    if isinstance(context.module, nn.BatchNorm | nn.Dropout):  # noqa: TID251
        ours = "batch_norm" if isinstance(context.module, nn.BatchNorm) else "dropout"
        raise ValueError(
            f"{'/'.join(context.module.path)}: flax.linen.{type(context.module).__name__} "
            f"does not know which rows of the batch it sees, so its result would depend on "
            f"the number of devices; use cnn_jax.layers.{ours}"
        )
    return call(*arguments, **named)


def _accumulate(
    gradient: Callable[[Any, Taken], _Gradient],
    taken: Taken,
    batch_stats: PyTree,
    *,
    unroll: bool,
) -> _Gradient:
    """Return the mean gradient and statistics over the pieces, and their summed metrics."""
    pieces = pieces_of(taken)

    def changes(number: Any, piece: Taken) -> _Gradient:
        # Of changes, so that statistics which don't move stay bitwise what they are.
        found = gradient(number, piece)
        moved = jax.tree.map(jnp.subtract, found.batch_stats, batch_stats)
        return found._replace(batch_stats=moved)

    shapes = jax.eval_shape(changes, 0, first_piece(taken))
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def add(total: _Gradient, piece: tuple[Array, Taken]) -> tuple[_Gradient, None]:
        return jax.tree.map(jnp.add, total, changes(*piece)), None

    numbered = (jnp.arange(pieces, dtype=jnp.int32), taken)
    total, _ = lax.scan(add, zero, numbered, unroll=pieces if unroll else 1)
    return _Gradient(
        jax.tree.map(lambda sums: sums / pieces, total.grads),
        jax.tree.map(lambda old, sums: old + sums / pieces, batch_stats, total.batch_stats),
        total.metrics,
    )


def several_steps(train_step: TrainStep) -> TrainStep:
    """Return a step over what several take, stacked: as many steps in one dispatch.

    Its metrics are those of all its examples together.
    """

    def steps(
        state: TrainState, data: TrainData, stacked: Taken
    ) -> tuple[TrainState, Metrics]:
        def one(
            carry: tuple[TrainState, Metrics], taken: Any
        ) -> tuple[tuple[TrainState, Metrics], None]:
            state, metrics = train_step(carry[0], data, taken)
            return (state, merge(carry[1], metrics)), None

        (state, metrics), _ = lax.scan(one, (state, zero_metrics()), stacked)
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
