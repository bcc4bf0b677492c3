"""``load_weights``: a network with the weights of a file, another library's or ours."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.errors import UserError
from cnn_jax.registry import unknown
from cnn_jax.types import Variables
from cnn_jax.weights.files import read_arrays
from cnn_jax.weights.network_file import is_network, read_network
from cnn_jax.weights.sources import WeightSource, declared_sources

OWN = "cnn_jax"
"""Name of the files that ``network_file.write_network`` wrote; they say what they hold."""


class LoadedWeights(NamedTuple):
    """A network, ready to use: ``model.apply(variables, images, train=False)``.

    Attributes:
        model: the module.
        variables: its parameters and batch statistics, float32.
        preprocessing: what ``data.preprocessing.apply_preprocessing`` does to pixels.
    """

    model: Any
    variables: Variables
    preprocessing: Preprocessing


def load_weights(
    name: str, path: Path | str, *, num_classes: int | None = None
) -> LoadedWeights:
    """Return the network of a file of weights, with its preprocessing.

    Numbers are taken as they stand, so the network computes what the source's own does.

    Args:
        name: source and architecture, e.g. ``"torchvision/vgg16"``
            (``weights.sources.declared_sources``), or ``"cnn_jax"`` for a file that we
            exported.
        path: a ``.pth``, ``.safetensors`` or ``.h5`` file.
        num_classes: that the file must have; None for whatever its classifier has.

    Raises:
        UserError: no such name (with near ones); a file that can't be read, or of another
            architecture: one line with the arrays that are missing, superfluous, or of
            another shape or type. Nothing is executed, nothing is half-loaded.
    """
    path = Path(path)
    sources = declared_sources()
    if name == OWN:
        loaded = LoadedWeights(*read_network(path))
    elif name not in sources:
        raise unknown(name, [*sources, OWN], what="weights")
    elif is_network(path):
        raise UserError(f"{path} is a network that cnn_jax exported; load it as {OWN!r}")
    else:
        loaded = _load(sources[name], path)
    found = loaded.model.num_classes
    if num_classes is not None and num_classes != found:
        raise UserError(f"{path} has {found} classes, not {num_classes}")
    return loaded._replace(variables=jax.tree.map(jnp.asarray, loaded.variables))


def _load(source: WeightSource, path: Path) -> LoadedWeights:
    arrays = read_arrays(path)
    try:
        model = source.build(**source.fields_of(arrays))
        variables = source.to_variables(arrays, model)
    except UserError as error:
        raise UserError(f"{path} is not {source.name}: {error}") from None
    return LoadedWeights(model, variables, source.preprocessing)
