"""Read the HDF5 files of Keras: arrays only, never the model's configuration or its code.

legacy (Keras 1 and 2, the published files of keras-applications, ``model.save("x.h5")``)
    The attribute ``layer_names`` names groups, each group's ``weight_names`` its arrays, by
    path in the group: ``conv1/kernel:0``. A whole model has all that in ``model_weights``.
Keras 3 (``model.save_weights("x.weights.h5")``)
    ``layers/CLASS_N/vars/0``, ``1``, ... and the layer's name in the attribute ``name`` of
    ``vars``. The names of the weights are not in the file; they follow from the class.

Source: keras 2.15, ``keras/src/saving/legacy/hdf5_format.py``
    (``load_weights_from_hdf5_group``, ``load_attributes_from_hdf5_group``); keras 3.15.1,
    ``keras/src/saving/saving_lib.py``.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cnn_jax.errors import UserError
from cnn_jax.weights.file_kinds import open_file
from cnn_jax.weights.hdf5 import Dataset, Group, Hdf5File
from cnn_jax.weights.torch_tensors import UnreadableError, shown

BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
CLASS_WEIGHTS = {
    "conv2d": (("kernel",), ("kernel", "bias")),
    "dense": (("kernel",), ("kernel", "bias")),
    # Three are without gamma, as in Keras' InceptionV3; none of Keras' own networks has a
    # batch normalisation without beta.
    "batch_normalization": (BATCH_NORM[2:], BATCH_NORM[1:], BATCH_NORM),
}
"""The weights of Keras 3's layers in their order, for each number of them."""


_NAMES_SHOWN = 3
_RANDOM_STATE = ("seed_generator", "seed_generator_state")  # of dropout; no weights


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by ``layer/weight``: ``block1_conv1/kernel``.

    Raises:
        UserError: the file can't be read, is truncated or damaged, has neither of Keras'
            layouts, leads to another file, or is packed.
    """
    with open_file(path) as file:
        try:
            return _arrays(Hdf5File(file))
        except UnreadableError as error:
            raise UserError(f"{path} can't be read: {error}") from None


def _arrays(file: Hdf5File) -> dict[str, np.ndarray]:
    root = _group(file, file.root)
    if "model_weights" in root.members:
        root = _group(file, root.members["model_weights"])
    if _names(root, "layer_names") is not None:
        found = _legacy(file, root)
    elif "layers" in root.members:
        found = _keras3(file, _group(file, root.members["layers"]))
    else:
        inside = ", ".join(map(shown, list(root.members)[:_NAMES_SHOWN])) or "nothing"
        raise UnreadableError(f"it is an HDF5 file of something else (it holds {inside})")
    arrays: dict[str, np.ndarray] = {}
    left = file.size
    for name, dataset in found:
        if name in arrays:
            raise UnreadableError(
                f"two of its arrays are {shown(name)}; a model inside a model is not read"
            )
        left -= dataset.nbytes
        if left < 0:
            raise UnreadableError("it is damaged: its arrays are larger than the file")
        arrays[name] = file.array(dataset)
    return arrays


def _group(file: Hdf5File, address: int | None) -> Group:
    found = file.read(address) if address is not None else None
    if not isinstance(found, Group):
        raise UnreadableError("it is damaged: what should be a group is none")
    return found


def _names(group: Group, attribute: str) -> tuple[str, ...] | None:
    """Return a list of names; Keras cuts a long one into numbered attributes."""
    if attribute in group.names:
        return group.names[attribute]
    parts: list[tuple[str, ...]] = []
    while (part := f"{attribute}{len(parts)}") in group.names:
        parts.append(group.names[part])
    return tuple(name for names in parts for name in names) if parts else None


def _member(file: Hdf5File, group: Group, path: str) -> Group | Dataset:
    found: Group | Dataset = group
    for name in filter(None, path.split("/")):
        address = found.members.get(name) if isinstance(found, Group) else None
        if address is None:
            raise UnreadableError(f"it is damaged: it has no {shown(path)}, or only a link")
        found = file.read(address)
    return found


def _dataset(file: Hdf5File, group: Group, path: str) -> Dataset:
    found = _member(file, group, path)
    if not isinstance(found, Dataset):
        raise UnreadableError(f"it is damaged: {shown(path)} in it is no array")
    return found


def _legacy(file: Hdf5File, root: Group) -> Iterator[tuple[str, Dataset]]:
    for layer in _names(root, "layer_names") or ():
        group = _member(file, root, layer)
        if not isinstance(group, Group):
            raise UnreadableError(f"it is damaged: {shown(layer)} in it is no group")
        for path in _names(group, "weight_names") or ():
            weight = path.removesuffix(":0").rpartition("/")[2]
            if weight not in _RANDOM_STATE:
                yield f"{layer}/{weight}", _dataset(file, group, path)


def _keras3(file: Hdf5File, layers: Group) -> Iterator[tuple[str, Dataset]]:
    for folder, address in layers.members.items():
        layer = _group(file, address)
        inner = [name for name in layer.members if name not in ("vars", *_RANDOM_STATE)]
        if inner:
            raise UnreadableError(
                f"layers/{shown(folder)} holds {shown(inner[0])}; a model inside a model "
                "is not read"
            )
        if "vars" not in layer.members:
            continue
        variables = _group(file, layer.members["vars"])
        count = len(variables.members)
        weights = _weights_of(folder, count)
        name = (*variables.names.get("name", ()), folder)[0]
        for number, weight in enumerate(weights):
            yield f"{name}/{weight}", _dataset(file, variables, str(number))


def _weights_of(folder: str, count: int) -> tuple[str, ...]:
    """Return the names of the weights of Keras 3's ``layers/folder``."""
    if count == 0:
        return ()
    for names in CLASS_WEIGHTS.get(re.sub(r"_\d+$", "", folder), ()):
        if len(names) == count:
            return names
    raise UnreadableError(
        f"what the {count} weights of layers/{shown(folder)} are is not known; save the "
        "model as .h5, which names them"
    )
