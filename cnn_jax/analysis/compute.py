"""Multiply-adds of a network, found by tracing: no device, no memory.

Counted are convolutions and dense layers, for one image; biases, activations, pooling and
normalisation are not. The numbers come from the shapes of kernels and outputs, so they do
not depend on how a kernel is computed. A layer of another kind that multiplies (local
connections, convolutions over groups, distances) says itself how often: it has a method
``multiply_adds`` of its output's shape.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.layers.tracing import trace_variables


@contextmanager
def counted_macs() -> Iterator[Counter[str]]:
    """Count the multiply-adds of all layers applied inside.

    Yields:
        The count by parameter scope, in order of use.
    """
    macs: Counter[str] = Counter()

    def count(
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: nn.module.InterceptorContext,
    ) -> Any:
        output = call(*args, **kwargs)
        layer = context.module
        if context.method_name == "__call__":
            scope = "/".join(layer.path)
            if hasattr(layer, "multiply_adds"):
                macs[scope] += layer.multiply_adds(output.shape)
            elif isinstance(layer, nn.Conv | nn.Dense):
                # Every output is the dot product of one column of the kernel.
                kernel = layer.variables["params"]["kernel"]
                macs[scope] += math.prod(output.shape) * math.prod(kernel.shape[:-1])
        return output

    with nn.intercept_methods(count):
        yield macs


def layer_macs(model: Any) -> dict[str, int]:
    """Return the multiply-adds for one image, by parameter scope, in order of use.

    A scope is the path of a layer, e.g. ``"conv1"`` or ``"inception_4a/conv5x5"``. Layers
    that only training runs (auxiliary heads) are not counted; a layer that is applied
    twice counts twice.

    Args:
        model: a module with an ``input_shape`` (height, width, channels).

    Raises:
        ValueError: some layer cannot take its input; the message names it.
    """
    variables = trace_variables(model)
    images = jax.ShapeDtypeStruct((1, *model.input_shape), jnp.float32)
    with counted_macs() as macs:
        jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, images)
    return dict(macs)


def count_macs(model: Any) -> int:
    """Return the multiply-adds of all layers for one image.

    Args:
        model: a module with an ``input_shape`` (height, width, channels).

    Raises:
        ValueError: some layer cannot take its input; the message names it.
    """
    return sum(layer_macs(model).values())
