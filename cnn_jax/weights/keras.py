"""Weights of ``keras.applications``: VGG16, VGG19, ResNet50/101/152 and InceptionV3.

Source:
    Keras 3.15.1, ``keras/src/applications/``: ``vgg16.py``, ``vgg19.py``, ``resnet.py``,
    ``inception_v3.py``, ``imagenet_utils.py``.
    keras-applications, ``resnet_common.py``: the published files of the ResNets have the
    MD5 sums of its release, and its names.

How Keras' networks differ from our printed ones:
    VGG: no dropout.
    ResNet: as He et al. 2016 print it, the stride in the first 1 x 1; but every convolution
    has biases too, and epsilon is 1.001e-5. Its maximum pool pads with zeros, ours with
    minus infinity: after a ReLU the same.
    InceptionV3: no auxiliary head, no dropout; batch normalisation learns a shift and no
    scale. The mean over the last maps is over all pixels, here over 8 x 8.
    All: batch normalisation keeps 0.99 of its running statistics, and the running variance
    takes the variances of the batches as they are.

Images:
    Keras feeds VGG and ResNet blue, green, red. Here the first convolution's input channels
    are turned round on import, and back on export, and the network takes red, green, blue:
    the same sums. From each colour the mean of ImageNet is subtracted, nothing is divided
    by. InceptionV3 takes red, green, blue from -1 to 1.
    Keras' own examples squeeze the whole image to the input's size (``load_img`` with
    ``target_size``, nearest pixel); its published errors are of a central crop.
    TensorNets, whose table has the same errors (InceptionV3 22.102, ResNet101 23.580), cuts
    224 pixels from a short side of 256 and 299 from 341, resized by bicubic interpolation.
    Those sides are used here, with bilinear interpolation.

Counts: Keras' number of parameters holds the running statistics too. It is our trainable
parameters and the numbers in ``batch_stats`` together.
"""

import dataclasses
from functools import partial
from typing import Any

import numpy as np

from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.layers.auxiliary_head import AuxiliaryHead
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.inception import DropoutRow
from cnn_jax.layers.rows import Dense, Table
from cnn_jax.models import inception_v3, resnet, vgg
from cnn_jax.weights import keras_names as names
from cnn_jax.weights.sources import WeightSource


def _preprocessing(mean: tuple[float, ...], deviation: float) -> Preprocessing:
    """Return a preprocessing from means and a deviation in pixel values, red first."""
    return Preprocessing(
        np.array(mean, np.float32).reshape(1, 1, 3) / np.float32(255),
        np.full((1, 1, 3), deviation / 255, np.float32),
    )


CAFFE = _preprocessing((123.68, 116.779, 103.939), 1.0)
"""Keras' mode ``caffe``, in the order red, green, blue."""
TF = _preprocessing((127.5, 127.5, 127.5), 127.5)
"""Keras' mode ``tf``: from -1 to 1."""

RESNET_NORM = BatchNorm(epsilon=1.001e-5, momentum=0.99)
INCEPTION_NORM = BatchNorm(epsilon=1e-3, momentum=0.99, scale=False)
INCEPTION_TABLE = tuple(
    row for row in inception_v3.TABLE if not isinstance(row, AuxiliaryHead | DropoutRow)
)


def _without_dropout(table: Table) -> Table:
    return tuple(
        dataclasses.replace(row, dropout=0.0) if isinstance(row, Dense) else row
        for row in table
    )


def _vgg(name: str, configuration: str) -> WeightSource:
    return WeightSource(
        name=f"keras/{name}",
        build=partial(vgg.VGG, table=_without_dropout(vgg.TABLES[configuration])),
        fields_of=partial(names.classes, keys=names.vgg_keys),
        entries=partial(names.keras_entries, layer_of=names.vgg_name, first="conv1_1"),
        canonical=names.vgg_keys,
        preprocessing=CAFFE,
        resize_side=256,
        crop_side=224,
        source=f"keras 3.15.1, keras/src/applications/{name}.py",
    )


def _resnet(name: str, table: tuple[Any, ...]) -> WeightSource:
    return WeightSource(
        name=f"keras/{name}",
        build=partial(resnet.ResNet, table=table, batch_norm=RESNET_NORM, conv_bias=True),
        fields_of=partial(names.classes, keys=names.resnet_keys),
        entries=partial(names.keras_entries, layer_of=names.resnet_name, first="conv1"),
        canonical=names.resnet_keys,
        preprocessing=CAFFE,
        resize_side=256,
        crop_side=224,
        source="keras 3.15.1, keras/src/applications/resnet.py",
    )


def _inceptionv3() -> WeightSource:
    units = len(names.units_in_order(INCEPTION_TABLE))
    keys = partial(names.inception_keys, units=units)
    return WeightSource(
        name="keras/inceptionv3",
        build=partial(
            inception_v3.InceptionV3, table=INCEPTION_TABLE, batch_norm=INCEPTION_NORM
        ),
        fields_of=partial(names.classes, keys=keys),
        entries=partial(
            names.keras_entries,
            layer_of=names.inception_names(INCEPTION_TABLE),
            first=None,
        ),
        canonical=keys,
        preprocessing=TF,
        resize_side=341,
        crop_side=299,
        source="keras 3.15.1, keras/src/applications/inception_v3.py",
    )


SOURCES: tuple[WeightSource, ...] = (
    _vgg("vgg16", "d"),
    _vgg("vgg19", "e"),
    _resnet("resnet50", resnet.TABLE_50),
    _resnet("resnet101", resnet.TABLE_101),
    _resnet("resnet152", resnet.TABLE_152),
    _inceptionv3(),
)
