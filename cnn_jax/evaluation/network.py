"""``Network``: what is evaluated."""

from typing import Any, NamedTuple

from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.types import Variables


class Network(NamedTuple):
    """A network with its variables and the preprocessing that it was trained with.

    Attributes:
        model: the module; its ``input_shape`` is (height, width, channels).
        variables: ``params`` and, where there is one, ``batch_stats``.
        preprocessing: what ``data.preprocessing.apply_preprocessing`` does to pixels.
    """

    model: Any
    variables: Variables
    preprocessing: Preprocessing
