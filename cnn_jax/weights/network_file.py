"""Our own file of a trained network: safetensors, with all that is needed to use it.

Arrays are called by their path: ``params/conv1/kernel``, ``batch_stats/conv1_norm/mean``,
``preprocessing/mean``. The metadata say what the network is: ``format`` is ``cnn_jax``,
``version`` is that of this layout, ``model`` is the module as ``codec.encode`` writes it,
``about`` what else is known of it.
Nothing but the modules and functions of ``cnn_jax.models`` and ``cnn_jax.layers`` can stand
there, so a file from elsewhere can build networks and do nothing else.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
from flax.traverse_util import flatten_dict

from cnn_jax.codec import decode, encode
from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.errors import UserError
from cnn_jax.types import Variables
from cnn_jax.weights.file_kinds import file_kind
from cnn_jax.weights.mapping import Entry, expected_variables, to_arrays, to_variables
from cnn_jax.weights.safetensors_files import read_safetensors, write_safetensors

FORMAT, VERSION = "cnn_jax", "1"
MAY_NAME = ("cnn_jax.models.", "cnn_jax.layers.")
_PREPROCESSING = "preprocessing/"


class About(NamedTuple):
    """What a trained network does not say of itself.

    Attributes:
        classes: their names in the order of the scores; empty where none are known.
        image_size: height and width at which images were kept before a crop was cut; None
            for the network's input.
        origin: source and architecture that the weights came from, whose resizing serves
            them, e.g. ``"torchvision/vgg16"``; None for a network of our own.
    """

    classes: tuple[str, ...] = ()
    image_size: tuple[int, int] | None = None
    origin: str | None = None


UNKNOWN = About()


def write_network(
    path: Path,
    model: Any,
    variables: Variables,
    preprocessing: Preprocessing,
    about: About = UNKNOWN,
) -> None:
    """Write a trained network, atomically; the same network gives the same bytes.

    Args:
        path: of the file; the usual extension is ``.safetensors``.
        model: a module of ``cnn_jax``, edited or not.
        variables: of the model, float32.
        preprocessing: that it was trained with.
        about: what else is known of it.

    Raises:
        UserError: the model is built from code of the user, the variables are of another
            one, or the file can't be written.
    """
    encoded = encode(model, "model")
    _check_names(encoded)
    expected = expected_variables(model)
    arrays = to_arrays(variables, _entries(expected), expected)
    for name, array in zip(Preprocessing._fields, preprocessing, strict=True):
        arrays[_PREPROCESSING + name] = np.asarray(array)
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "model": json.dumps(encoded),
        "about": json.dumps(about._asdict()),
    }
    write_safetensors(path, arrays, metadata)


def is_network(path: Path) -> bool:
    """Return whether ``write_network`` wrote a file.

    Raises:
        UserError: the file can't be read.
    """
    return (
        file_kind(path) == "safetensors"
        and read_safetensors(path)[1].get("format") == FORMAT
    )


def read_network(path: Path) -> tuple[Any, Variables, Preprocessing]:
    """Return module, variables (NumPy arrays) and preprocessing of a file of our own.

    Raises:
        UserError: another file, one of a later version, or one that is damaged.
    """
    if not is_network(path):
        raise UserError(f"{path} is no network that cnn_jax exported")
    arrays, metadata = read_safetensors(path)
    if metadata.get("version") != VERSION:
        raise UserError(
            f"{path} has version {metadata.get('version')} of the format; this cnn_jax "
            f"reads version {VERSION}"
        )
    try:
        encoded = json.loads(metadata["model"])
        _check_names(encoded)
        model = decode(encoded)
        if not isinstance(model, nn.Module):
            raise UserError("it is no module")
        expected = expected_variables(model)
    except (KeyError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise UserError(f"{path}: its network can't be built: {error}") from None
    preprocessing = _preprocessing(path, arrays)
    rest = {k: v for k, v in arrays.items() if not k.startswith(_PREPROCESSING)}
    try:
        return model, to_variables(rest, _entries(expected), expected), preprocessing
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def read_about(path: Path) -> About:
    """Return what else is known of the network in a file of our own.

    Raises:
        UserError: another file, or one that is damaged.
    """
    if not is_network(path):
        raise UserError(f"{path} is no network that cnn_jax exported")
    try:
        told = json.loads(read_safetensors(path)[1]["about"])
        size, origin = told["image_size"], told["origin"]
        return About(
            tuple(str(name) for name in told["classes"]),
            None if size is None else (int(size[0]), int(size[1])),
            None if origin is None else str(origin),
        )
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise UserError(
            f"{path}: what is known of its network can't be read: {error}"
        ) from None


def _preprocessing(path: Path, arrays: Mapping[str, np.ndarray]) -> Preprocessing:
    try:
        found = Preprocessing(*(arrays[_PREPROCESSING + n] for n in Preprocessing._fields))
    except KeyError as error:
        raise UserError(f"{path}: missing: {error.args[0]}") from None
    for name, array in zip(Preprocessing._fields, found, strict=True):
        if array.dtype != np.float32 or array.ndim != 3:
            raise UserError(
                f"{path}: {_PREPROCESSING}{name} is {array.dtype} {list(array.shape)}; "
                f"float32 [height, width, channels] is needed"
            )
    return found


def _entries(expected: Variables) -> list[Entry]:
    return [Entry("/".join(path), path) for path in flatten_dict(expected)]


def _check_names(encoded: Any) -> None:
    for name in _names(encoded):
        if not str(name).startswith(MAY_NAME):
            raise UserError(
                f"the network is built from {name}; a file can name what is in "
                f"cnn_jax.models and cnn_jax.layers only"
            )


def _names(encoded: Any) -> Iterator[Any]:
    if isinstance(encoded, dict):
        for key, value in encoded.items():
            if key in ("class", "name") and isinstance(value, str) and ":" in value:
                yield value
            yield from _names(value)
    elif isinstance(encoded, list):
        for item in encoded:
            yield from _names(item)
