"""What a network's arrays look like, found by tracing: no compilation, no memory."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def trace_variables(model: Any) -> dict[str, Any]:
    """Return the variable tree of ``model`` as shapes and dtypes.

    Args:
        model: a module with an ``input_shape`` (height, width, channels).

    Raises:
        ValueError: some layer cannot take its input; the message names it.
    """
    images = jax.ShapeDtypeStruct((1, *model.input_shape), jnp.float32)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)


def trace_output(model: Any, batch: int = 1) -> tuple[int, ...]:
    """Return the shape of the output for ``batch`` images."""
    images = jax.ShapeDtypeStruct((batch, *model.input_shape), jnp.float32)

    def forward(x: jax.Array) -> Any:
        return model.init_with_output(jax.random.key(0), x, train=False)[0]

    return jax.eval_shape(forward, images).shape


def is_auxiliary(scope: str) -> bool:
    """Return whether a scope at the top of the parameters is that of an auxiliary head."""
    return scope.startswith("aux")


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters, those of auxiliary heads left out."""
    params = trace_variables(model)["params"]
    main = {scope: tree for scope, tree in params.items() if not is_auxiliary(scope)}
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(main))
