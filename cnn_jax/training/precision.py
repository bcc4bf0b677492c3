"""Mixed precision: compute in bfloat16, keep in float32.

bfloat16 has the exponent of float32, so no loss is scaled. Parameters, optimizer,
running statistics and the loss stay float32; the matrix products and convolutions, and
what flows between layers, are bfloat16.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from cnn_jax.types import Images, Variables


def lower_precision(variables: Variables, images: Images) -> tuple[Variables, Images]:
    """Return variables and images to compute with in bfloat16.

    Batch normalisations keep their float32 parameters: they compute in float32 and give
    back the type that they get.

    Args:
        variables: ``params`` and ``batch_stats``.
        images: preprocessed.
    """
    normalisations = {
        path[:-1]
        for path, _ in jax.tree_util.tree_leaves_with_path(variables["batch_stats"])
    }

    def lowered(path: Any, leaf: Array) -> Array:
        return leaf if path[:-1] in normalisations else leaf.astype(jnp.bfloat16)

    params = jax.tree_util.tree_map_with_path(lowered, variables["params"])
    return variables | {"params": params}, images.astype(jnp.bfloat16)
