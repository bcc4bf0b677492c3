"""``export_weights``: a network of ours as a file that torchvision itself loads."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.errors import UserError
from cnn_jax.registry import lookup
from cnn_jax.types import Variables
from cnn_jax.weights.mapping import expected_variables
from cnn_jax.weights.sources import WeightSource, declared_sources
from cnn_jax.weights.torch_writing import write_torch


def export_weights(name: str, path: Path, model: Any, variables: Variables) -> None:
    """Write the ``state_dict`` of a network, for ``load_state_dict(strict=True)``.

    The network must compute in evaluation what torchvision's does; how it was trained
    (dropout, momentum of the running statistics, initial weights) is not in the file.

    Args:
        name: of the architecture, e.g. ``"torchvision/vgg16"``.
        path: of the file; the usual extension is ``.pth``.
        model: the module.
        variables: of the model, float32.

    Raises:
        UserError: no such architecture (with near ones), a network that computes something
            else, variables of another network, or a file that can't be written.
    """
    written = {
        key: source
        for key, source in declared_sources().items()
        if key.startswith("torchvision/")
    }
    source = lookup(written, name, what="architecture to export")
    twin = _twin(source, model)
    write_torch(path, source.to_arrays(variables, twin))


def _twin(source: WeightSource, model: Any) -> Any:
    """Return the source's module, with the model's classes and heads."""
    heads = getattr(model, "auxiliary_heads", True)
    fields = {} if heads else {"auxiliary_heads": False}
    try:
        twin = source.build(num_classes=model.num_classes, **fields)
    except TypeError:
        raise UserError(f"{type(model).__name__} is not {source.name}") from None
    if _evaluation(twin) != _evaluation(model):
        raise UserError(
            f"{type(model).__name__} computes something else than {source.name}: layers, "
            f"their sizes, strides, padding or constants differ"
        )
    return twin


def _evaluation(model: Any) -> str:
    """Return the program of an evaluation as text: equal texts compute the same."""
    variables = expected_variables(model)
    images = jax.ShapeDtypeStruct((1, *model.input_shape), jnp.float32)
    program = jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))
    return f"{jax.tree.structure(variables)} {program(variables, images)}"
