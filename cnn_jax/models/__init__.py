"""One paper a file: docstring with Source and Departures, table, module, ``MODELS``."""

import sys
from functools import cache
from typing import Any

import flax.linen as nn

from cnn_jax.registry import collect, lookup
from cnn_jax.types import ModelSpec


@cache
def declared_models() -> dict[str, ModelSpec]:
    """Return every declared network by name."""
    return collect(sys.modules[__name__], "MODELS")


def list_models() -> list[str]:
    """Return the names of all networks, sorted."""
    return list(declared_models())


def model_spec(name: str) -> ModelSpec:
    """Return what is declared about a network.

    Raises:
        UserError: no such network; the message holds near names.
    """
    return lookup(declared_models(), name, what="model")


def create_model(name: str, **fields: Any) -> nn.Module:
    """Return the network of that name, untouched or with other fields.

    Args:
        name: as ``list_models`` gives it.
        **fields: fields of the module, e.g. ``num_classes=10``.

    Raises:
        UserError: no such network; the message holds near names.
        TypeError: no such field.
    """
    return model_spec(name).build(**fields)
