"""Training a part of a network; the rest stays as it is."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree


def train_only(
    optimizer: optax.GradientTransformation, trained: PyTree
) -> optax.GradientTransformationExtraArgs:
    """Return an optimizer that moves, decays and remembers the trained parameters alone.

    It is given the others as arrays without elements.

    Args:
        optimizer: for these.
        trained: a bool for each parameter.
    """
    optimizer = optax.with_extra_args_support(optimizer)

    def part(tree: PyTree) -> PyTree:
        # Empty, not left out: patterns of names still find what they name.
        return jax.tree.map(
            lambda leaf, moves: leaf if moves else jnp.zeros((0,), leaf.dtype),
            tree,
            trained,
        )

    def init(params: PyTree) -> PyTree:
        return optimizer.init(part(params))

    def update(
        grads: PyTree, state: PyTree, params: PyTree = None, **extra: Any
    ) -> tuple[PyTree, PyTree]:
        updates, state = optimizer.update(part(grads), state, part(params), **extra)
        updates = jax.tree.map(
            lambda update, grad, moves: update if moves else jnp.zeros_like(grad),
            updates,
            grads,
            trained,
        )
        return updates, state

    return optax.GradientTransformationExtraArgs(init, update)


def frozen_normalisations(batch_stats: PyTree, trained: PyTree) -> frozenset[str]:
    """Return the scopes of the batch normalisations that have no trained parameter.

    They keep to their running statistics, which then don't move either: a frozen layer
    computes what it computed before.

    Args:
        batch_stats: running statistics of the network, or their shapes.
        trained: a bool for each parameter.
    """
    parameters: dict[Any, list[bool]] = {}
    for path, moves in jax.tree_util.tree_leaves_with_path(trained):
        parameters.setdefault(path[:-1], []).append(moves)
    scopes = {path[:-1] for path, _ in jax.tree_util.tree_leaves_with_path(batch_stats)}
    return frozenset(
        "/".join(key.key for key in scope)
        for scope in scopes
        if not any(parameters.get(scope, [True]))
    )
