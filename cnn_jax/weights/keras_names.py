"""Keras' names of layers and weights, for our scopes and for the keys of a file.

A key is ``layer/weight``: ``block1_conv1/kernel``. Files differ in the names of weights
(Keras 1), of the classifier (keras-applications) and in the numbers of layers that Keras
names itself; ``*_keys`` give a file's arrays the keys that the entries have.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from cnn_jax.errors import UserError
from cnn_jax.layers.batch_norm_conv import ConvNorm
from cnn_jax.layers.inception import Branches, Fork, ModuleRow, Unit
from cnn_jax.layers.tracing import trace_variables
from cnn_jax.weights.mapping import AS_IT_IS, Arrays, Entry, Layout

TOP = "predictions"
"""Keras' name of the classifier."""

Names = Callable[[str], str]
"""From one of our scopes to Keras' name of the layer."""

KERAS_WEIGHTS = {
    ("params", "kernel"): "kernel",
    ("params", "bias"): "bias",
    ("params", "scale"): "gamma",
    ("batch_stats", "mean"): "moving_mean",
    ("batch_stats", "var"): "moving_variance",
}


def _reversed_inputs(kernel: np.ndarray) -> np.ndarray:
    return kernel[:, :, ::-1]


BLUE_FIRST = Layout(_reversed_inputs, _reversed_inputs)
"""A convolution over blue, green, red, as one over red, green, blue; its own inverse."""


def keras_entries(model: Any, *, layer_of: Names, first: str | None) -> tuple[Entry, ...]:
    """Return the entries of a network.

    Args:
        model: ours.
        layer_of: Keras' name of the layer at one of our scopes.
        first: scope of the convolution that Keras feeds blue first; None for none.
    """
    entries = []
    for path in flatten_dict(trace_variables(model)):
        collection, *scopes, leaf = path
        scope = "/".join(scopes)
        weight = KERAS_WEIGHTS[collection, leaf]
        if scope.endswith("_norm") and leaf == "bias":
            weight = "beta"
        is_first = scope == first and leaf == "kernel"
        layout = BLUE_FIRST if is_first else AS_IT_IS
        entries.append(Entry(f"{layer_of(scope)}/{weight}", path, layout))
    return tuple(entries)


def vgg_name(scope: str) -> str:
    """Return ``block1_conv1`` for ``conv1_1``, ``fc1`` for ``fc6``."""
    dense = {"fc6": "fc1", "fc7": "fc2", "fc8": TOP}
    return dense.get(scope) or re.sub(r"conv(\d)_(\d)", r"block\1_conv\2", scope)


def resnet_name(scope: str) -> str:
    """Return ``conv2_block1_3_bn`` for ``conv2_1/conv3_norm``; a shortcut is number 0."""
    if scope == "fc":
        return TOP
    kind = "bn" if scope.endswith("_norm") else "conv"
    block, _, conv = scope.removesuffix("_norm").partition("/")
    if not conv:
        return f"{block}_{kind}"  # conv1
    stage, number = block.split("_")
    place = 0 if conv == "shortcut" else conv.removeprefix("conv")
    return f"{stage}_block{number}_{place}_{kind}"


def units_in_order(table: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the scopes of an Inception network's convolutions as Keras makes them.

    Row by row, branch by branch; Keras' branches have the order of ours.
    """

    def walk(branches: Branches) -> list[str]:
        names = []
        for step in (step for branch in branches for step in branch):
            if isinstance(step, Unit):
                names.append(step.name)
            elif isinstance(step, Fork):
                names += walk(step.branches)
        return names

    scopes = []
    for row in table:
        if isinstance(row, ConvNorm):
            scopes.append(row.name)
        elif isinstance(row, ModuleRow):
            scopes += [f"{row.name}/{name}" for name in walk(row.branches)]
    return tuple(scopes)


def inception_names(table: tuple[Any, ...]) -> Names:
    """Return a function that gives ``conv2d_N`` and ``batch_normalization_N``, N from 1 on.

    Keras' InceptionV3 names no layer but the classifier, so Keras numbers them as they are
    made. The published file has the numbers of the first network of a session of Keras 2.
    """
    layers = {}
    for number, scope in enumerate(units_in_order(table), 1):
        layers[scope] = f"conv2d_{number}"
        layers[f"{scope}_norm"] = f"batch_normalization_{number}"
    return lambda scope: layers.get(scope, TOP)


def _with_known_names(arrays: Arrays, layers: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the arrays under the names of Keras 2 and 3; ``layers`` renames layers.

    Keras 1, of which the published files of VGG are, calls the weights of a layer
    ``fc1_W_1`` and ``fc1_b_1``.

    Raises:
        UserError: two arrays of the file would get one name.
    """
    old = {"W": "kernel", "b": "bias"}
    names: dict[str, str] = {}
    for key in arrays:
        layer, slash, weight = key.removesuffix(":0").rpartition("/")
        match = re.fullmatch(rf"{re.escape(layer)}_([Wb])(_\d+)?", weight)
        name = f"{layers.get(layer, layer)}{slash}{old[match[1]] if match else weight}"
        if name in names:
            raise UserError(f"{names[name]} and {key} are both {name}")
        names[name] = key
    return {name: arrays[key] for name, key in names.items()}


def vgg_keys(arrays: Arrays) -> Arrays:
    """Return a file's arrays under the keys of the entries.

    Raises:
        UserError: two arrays of the file would get one key.
    """
    return _with_known_names(arrays, {})


def resnet_keys(arrays: Arrays) -> Arrays:
    """Return a file's arrays under the keys of the entries.

    The published files are of keras-applications, which calls the classifier ``probs``.

    Raises:
        UserError: two arrays of the file would get one key.
    """
    return _with_known_names(arrays, {"probs": TOP})


def inception_keys(arrays: Arrays, *, units: int) -> Arrays:
    """Return a file's arrays under the keys of the entries, numbered from 1 on.

    Keras 3 begins with ``conv2d``, ``conv2d_1``, and every further network of a session
    goes on from where the last one ended; the order is what counts.

    Args:
        arrays: of a file.
        units: convolutions of the network, and batch normalisations.

    Raises:
        UserError: not as many of either in the file, or two arrays would get one key.
    """
    layers = {key.rpartition("/")[0] for key in arrays}
    renamed: dict[str, str] = {}
    for kind in ("conv2d", "batch_normalization"):
        found = [name for name in layers if re.fullmatch(rf"{kind}(_\d+)?", name)]
        if len(found) != units:
            raise UserError(
                f"the file has {len(found)} layers called {kind}_N; {units} are needed"
            )
        found.sort(key=lambda name: int(name.removeprefix(kind)[1:] or 0))
        renamed |= {name: f"{kind}_{number}" for number, name in enumerate(found, 1)}
    return _with_known_names(arrays, renamed)


def classes(arrays: Arrays, *, keys: Callable[[Arrays], Arrays]) -> dict[str, Any]:
    """Return ``{"num_classes": outputs of the classifier}``.

    Args:
        arrays: of a file.
        keys: gives them the keys of the entries.

    Raises:
        UserError: there is no classifier, or its biases are no vector.
    """
    bias = keys(arrays).get(f"{TOP}/bias")
    if bias is None:
        raise UserError(
            f"missing: {TOP}/bias, the classifier's (a file called notop has none; a file "
            f"of Keras 3 that names no layers is not read: save the model as .h5)"
        )
    if bias.ndim != 1:
        raise UserError(f"{TOP}/bias has shape {list(bias.shape)}; [classes] is needed")
    return {"num_classes": len(bias)}
