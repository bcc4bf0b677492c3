"""How many values of one image a network holds, if it keeps them all.

Source:
    Kondor, Deep Learning (lecture), "VGGNet": the memory of each layer's output, the
    image's included. The lecture adds it up to 24 million numbers for configuration D; the
    layers that it lists have 15,237,608.
"""

import math
from typing import Any

from cnn_jax.analysis.layer_table import FLOAT32, layer_table, totals


def activation_values(model: Any) -> int:
    """Return the number of values of the image and of the output of each row.

    An activation is taken to overwrite what it is given. What training keeps for the
    gradient, and a block's inside, are not counted.

    Args:
        model: a module with a ``table`` of named rows and an ``input_shape``.

    Raises:
        UserError: no table, or a layer that cannot take what it would get.
    """
    outputs = totals(layer_table(model)).activation_memory // FLOAT32
    return math.prod(model.input_shape) + outputs


def activation_megabytes(model: Any) -> float:
    """Return the memory of ``activation_values`` in float32, in units of 10^6 bytes.

    Raises:
        UserError: as ``activation_values``.
    """
    return FLOAT32 * activation_values(model) / 1e6
