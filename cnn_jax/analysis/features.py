"""What a trained network computes inside: the output of a layer, by its name."""

from typing import Any

import jax

from cnn_jax.errors import UserError
from cnn_jax.layers.tracing import is_auxiliary
from cnn_jax.registry import unknown
from cnn_jax.types import Features, Images, Variables


def features(model: Any, variables: Variables, images: Images, layer: str) -> Features:
    """Return the output of one row of the network's table, in evaluation.

    That is what the next row gets: after the row's normalisation and activation (of a
    residual block or an Inception module: of the whole). The last row gives the logits. No
    row below is computed. The function is pure; ``jax.jit`` with ``model`` and ``layer``
    static compiles it.

    Args:
        model: a module with a ``table`` of named rows.
        variables: of the model, e.g. ``load_run(directory).variables``.
        images: preprocessed images, [N, H, W, C].
        layer: name of the row, e.g. ``"fc7"``, ``"pool5"``, ``"inception_4a"``.

    Returns:
        [N, H, W, C] of a convolution or pool, [N, features] of a dense layer.

    Raises:
        UserError: no table, an unknown name (with near ones), or an auxiliary head, which
            runs in training only.
    """
    names = [row.name for row in getattr(model, "table", ())]
    if not names:
        raise UserError(f"{type(model).__name__} has no table of named layers")
    if layer not in names:
        raise unknown(layer, names, what=f"layer of {type(model).__name__}")
    if is_auxiliary(layer):
        raise UserError(f"{layer} is an auxiliary head: it runs in training only")
    # A network is a loop over its table, so its first rows are a network of their own.
    first_rows = model.clone(table=model.table[: names.index(layer) + 1])
    output: jax.Array = first_rows.apply(variables, images, train=False)
    return output
