"""A state with every kind of leaf that a run could have."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class State(NamedTuple):
    step: Any
    params: Any
    opt_state: Any


def make(step):
    """A state unlike that of any other step, with every kind of leaf a run could have."""
    draw = np.random.default_rng(step)
    kernel = draw.standard_normal((3, 3, 2, 4)).astype(np.float32)
    kernel[0, 0, 0] = [np.nan, -0.0, np.inf, 1e-45]
    return State(
        step=np.asarray(step, np.int32),
        params={
            "conv1": {"kernel": kernel, "bias": draw.standard_normal(4)},
            "half": draw.standard_normal(5).astype(jnp.bfloat16),
        },
        opt_state=({"count": np.asarray(step, np.uint32)}, (), np.zeros((0, 3), bool)),
    )


LIKE = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), make(0))


def same(first, second):
    """Equal structures, types, shapes and bytes: NaN counts, and the sign of zero."""
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert type(a) is np.ndarray
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    return True
