"""torchvision's networks: AlexNet, VGG, GoogLeNet, Inception v3 and the ResNets.

Source:
    torchvision 0.28: ``models/alexnet.py``, ``vgg.py``, ``googlenet.py``, ``inception.py``
    and ``resnet.py`` (layers, pretrained weights), ``transforms/_presets.py``
    (``ImageClassification``: sides, mean and deviation).

What computes the same here:
    alexnet: ``alexnet_owt``.
    vgg11, 13, 16, 19: ``vgg_a``, ``vgg_b``, ``vgg_d``, ``vgg_e``; with ``_bn`` likewise.
    googlenet: ``googlenet_torchvision``.
    inception_v3: ``inception_v3``, but means divide by 9 everywhere, dropout is 50 %, and
    0.9 of the running statistics are kept a step.
    resnet18 to 152: ``resnet18`` to ``resnet152``, but a bottleneck has its stride in the
    3 x 3 convolution. ``_v2`` is the same network; its weights want images of 232 pixels.
    All: running variances are unbiased.

Layouts: kernels of convolutions are [out, in, height, width] there and [height, width, in,
out] here, those of linear layers [out, in] and [in, out]. A linear layer on flattened maps
takes them channel by channel there and pixel by pixel here.

Images have the size that the network is printed for: torchvision's adaptive means in front
of fully connected layers are the identity for it, and are not here.

The pretrained ``googlenet`` and ``inception_v3`` are Google's: torchvision undoes its own
normalisation for them (``transform_input=True``), which in one step is (pixel / 255 - 0.5)
/ 0.5. A network trained with ``transform_input=False`` needs ``IMAGENET`` instead. The
heads of the pretrained ``googlenet`` were never trained.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.errors import UserError
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.inception import DropoutRow
from cnn_jax.models import inception_v3, resnet, vgg, vgg_bn
from cnn_jax.models.alexnet_owt import AlexNetOneWeirdTrick
from cnn_jax.models.googlenet_torchvision import GoogLeNetTorchvision
from cnn_jax.weights.mapping import (
    AS_IT_IS,
    Arrays,
    Entry,
    Layout,
    expected_variables,
)
from cnn_jax.weights.sources import WeightSource
from cnn_jax.weights.torchvision_names import (
    googlenet_module,
    inception_v3_module,
    resnet_module,
    sequential_modules,
)

TORCH_WEIGHTS = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}

CONVOLUTION = Layout(
    ours=partial(np.transpose, axes=(2, 3, 1, 0)),
    theirs=partial(np.transpose, axes=(3, 2, 0, 1)),
)
LINEAR = Layout(ours=np.transpose, theirs=np.transpose)
LAYOUTS = {1: AS_IT_IS, 2: LINEAR, 4: CONVOLUTION}
"""By the number of axes."""


def _maps_to_pixels(weight: np.ndarray, window: int) -> np.ndarray:
    maps = weight.reshape(len(weight), -1, window, window)
    return maps.transpose(2, 3, 1, 0).reshape(-1, len(weight))


def _pixels_to_maps(kernel: np.ndarray, window: int) -> np.ndarray:
    outputs = kernel.shape[-1]
    pixels = kernel.reshape(window, window, -1, outputs)
    return pixels.transpose(3, 2, 0, 1).reshape(outputs, -1)


def flattened(window: int) -> Layout:
    """Return the layout of a linear layer on maps of ``window`` x ``window`` pixels."""
    return Layout(
        ours=partial(_maps_to_pixels, window=window),
        theirs=partial(_pixels_to_maps, window=window),
    )


def _entries(
    model: Any, module: Callable[[str], str], windows: Mapping[str, int]
) -> tuple[Entry, ...]:
    """Return the entries of ``model``.

    Args:
        model: a network of this file.
        module: from one of our scopes to the name of torchvision's module.
        windows: scopes of linear layers on flattened maps, and the maps' edge in pixels.
    """
    entries = []
    for path, leaf in flatten_dict(expected_variables(model)).items():
        collection, *scopes, name = path
        scope = "/".join(scopes)
        layout = LAYOUTS[len(leaf.shape)]
        if scope in windows and name == "kernel":
            layout = flattened(windows[scope])
        key = f"{module(scope)}.{TORCH_WEIGHTS[collection, name]}"
        entries.append(Entry(key, path, layout))
    return tuple(entries)


def _sequential_entries(
    model: Any, *, linear: tuple[int, int, int], window: int, batch_norm: bool = False
) -> tuple[Entry, ...]:
    modules = sequential_modules(model.table, batch_norm=batch_norm, linear=linear)
    return _entries(model, modules.__getitem__, {"fc6": window})


def _batch_counters(
    model: Any, entries: Callable[[Any], tuple[Entry, ...]]
) -> dict[str, np.ndarray]:
    """Return torch's counters of training batches, 0: one a batch normalisation.

    torch uses them only where its momentum is None, as it never is in torchvision. Files
    from before torch 0.4.1 have none.
    """
    end = "running_var"
    return {
        entry.key.removesuffix(end) + "num_batches_tracked": np.zeros((), np.int64)
        for entry in entries(model)
        if entry.key.endswith(end)
    }


def _fields_of(arrays: Arrays, classifier: str, heads: str | None) -> dict[str, Any]:
    """Read off the classifier, ``NAME.weight``, and off the names that heads begin with."""
    key = f"{classifier}.weight"
    if key not in arrays:
        raise UserError(f"missing: {key}, the classifier")
    weight = arrays[key]
    if weight.ndim != 2 or not len(weight):
        raise UserError(f"{key} is {list(weight.shape)}; [classes, features] is needed")
    fields: dict[str, Any] = {"num_classes": len(weight)}
    if heads is not None:
        fields["auxiliary_heads"] = any(key.startswith(heads) for key in arrays)
    return fields


def _preprocessing(mean: tuple[float, ...], deviation: tuple[float, ...]) -> Preprocessing:
    channels = (1, 1, len(mean))
    return Preprocessing(
        np.asarray(mean, np.float32).reshape(channels),
        np.asarray(deviation, np.float32).reshape(channels),
    )


IMAGENET = _preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = _preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def _source(
    name: str,
    build: Callable[..., Any],
    entries: Callable[[Any], tuple[Entry, ...]],
    *,
    classifier: str = "fc",
    heads: str | None = None,
    preprocessing: Preprocessing = IMAGENET,
    resize_side: int = 256,
    crop_side: int = 224,
    weights: str = "IMAGENET1K_V1",
) -> WeightSource:
    return WeightSource(
        name=f"torchvision/{name}",
        build=build,
        fields_of=partial(_fields_of, classifier=classifier, heads=heads),
        entries=entries,
        constants=partial(_batch_counters, entries=entries),
        preprocessing=preprocessing,
        resize_side=resize_side,
        crop_side=crop_side,
        source=f"torchvision 0.28, models.{name.removesuffix('_v2')}, {weights}",
    )


_sequential = partial(_source, classifier="classifier.6")
_resnet_entries = partial(_entries, module=resnet_module, windows={})
_vgg_entries = partial(_sequential_entries, linear=(0, 3, 6), window=7)
TORCH_NORM = BatchNorm(epsilon=1e-5, momentum=0.9, unbiased=True)
RESNETS = {
    18: resnet.TABLE_18,
    34: resnet.TABLE_34,
    50: resnet.TABLE_50,
    101: resnet.TABLE_101,
    152: resnet.TABLE_152,
}
_resnets = {
    depth: partial(resnet.ResNet, table=table, stride_in="3x3", batch_norm=TORCH_NORM)
    for depth, table in RESNETS.items()
}
_vggs = {11: "a", 13: "b", 16: "d", 19: "e"}
INCEPTION_V3_TABLE = tuple(
    DropoutRow(row.name, 0.5) if isinstance(row, DropoutRow) else row
    for row in inception_v3.TABLE
)

SOURCES = (
    _sequential(
        "alexnet",
        AlexNetOneWeirdTrick,
        partial(_sequential_entries, linear=(1, 4, 6), window=6),
    ),
    *(
        _sequential(f"vgg{n}", partial(vgg.VGG, table=vgg.TABLES[letter]), _vgg_entries)
        for n, letter in _vggs.items()
    ),
    *(
        _sequential(
            f"vgg{n}_bn",
            partial(vgg_bn.VGGBatchNorm, table=vgg_bn.TABLES[letter]),
            partial(_vgg_entries, batch_norm=True),
        )
        for n, letter in _vggs.items()
    ),
    _source(
        "googlenet",
        GoogLeNetTorchvision,
        partial(
            _entries,
            module=googlenet_module,
            windows={"aux1/hidden": 4, "aux2/hidden": 4},
        ),
        heads="aux",
        preprocessing=HALVES,
    ),
    _source(
        "inception_v3",
        partial(
            inception_v3.InceptionV3,
            table=INCEPTION_V3_TABLE,
            batch_norm=BatchNorm(epsilon=1e-3, momentum=0.9, unbiased=True),
            count_padding=True,
        ),
        partial(_entries, module=inception_v3_module, windows={}),
        heads="AuxLogits.",
        preprocessing=HALVES,
        resize_side=342,
        crop_side=299,
    ),
    *(_source(f"resnet{n}", build, _resnet_entries) for n, build in _resnets.items()),
    *(
        _source(
            f"resnet{n}_v2",
            _resnets[n],
            _resnet_entries,
            resize_side=232,
            weights="IMAGENET1K_V2",
        )
        for n in (50, 101, 152)
    ),
)
