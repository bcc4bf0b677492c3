"""GoogLeNet.

Source:
    Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke and Rabinovich. Going
    Deeper with Convolutions. CVPR 2015. Table 1 (widths), Figure 3 (order of pools and
    local response normalisation), Section 5 (auxiliary heads).
    Where the paper is silent, ``bvlc_googlenet`` of Caffe.

Departures:
    From Caffe's port, because the paper prints none: conv1 is padded by 3 pixels on each
    side; a pool's last window may hang over the end (ceil), which Table 1's sizes need;
    LRN has k = 1, n = 5, alpha = 1e-4 / 5 and beta = 0.75; weights start uniform within
    +-sqrt(3 / fan-in) and biases from 0.2, those of the classifiers from 0.
    conv1 is a full 7 x 7 convolution, as the table says: 9,408 weights and 118.0 million
    multiply-adds. It prints 2.7K and 34M beside it, which 8 separable filters a channel
    would have (2,712 and 34.0M); the text never says so. Table 1's operations are those of
    its widths, within a million, in every other row but inception_5a (51M, printed 54M).
    Its parameters, in units of 1024, are not in 4a (367K, printed 364K), 4c (498K, 463K),
    4d (591K, 580K), 4e (847K, 840K), 5a (1018K, 1072K) and 5b (1409K, 1388K): the widths
    are used.
    A head stands on the row above it in the table (inception_4a, inception_4d): when that
    row is removed, the head stands on the one before.
    ``googlenet_small`` is for 32 x 32 images. It keeps every layer, its name, its order and
    both heads. Scaled: all widths to 1/4; conv1 from 7 x 7 / 2 to 3 x 3 / 1 with padding 1;
    so maps are 32, 16, 8, 4 and 2 pixels wide for 112, 56, 28, 14 and 7; the last mean is
    over 2 x 2; a head's mean is 2 x 2 / 2 for 5 x 5 / 3. Its weights start from He et al.
    2015 and its biases from 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from cnn_jax.layers.auxiliary_head import AuxiliaryHead
from cnn_jax.layers.inception import (
    Branches,
    DropoutRow,
    InceptionNetwork,
    ModuleRow,
    Pool,
    Unit,
)
from cnn_jax.layers.initializers import he
from cnn_jax.layers.rows import (
    AveragePool,
    Classifier,
    Conv,
    Initializer,
    LocalResponseNorm,
    MaxPool,
)
from cnn_jax.types import ImageShape, Key, ModelSpec, Printed, Published


@dataclass(frozen=True)
class Inception(ModuleRow):
    """A row of Table 1: output channels of each convolution of a module."""

    conv1x1: int
    conv3x3_reduce: int
    conv3x3: int
    conv5x5_reduce: int
    conv5x5: int
    pool_proj: int

    @property
    def branches(self) -> Branches:
        """1 x 1; 3 x 3; 5 x 5; 3 x 3 maximum: Figure 2b, from left to right."""
        return (
            (Unit("conv1x1", self.conv1x1),),
            (
                Unit("conv3x3_reduce", self.conv3x3_reduce),
                Unit("conv3x3", self.conv3x3, (3, 3)),
            ),
            (
                Unit("conv5x5_reduce", self.conv5x5_reduce),
                Unit("conv5x5", self.conv5x5, (5, 5)),
            ),
            (Pool("max", 3), Unit("pool_proj", self.pool_proj)),
        )


_norm = partial(LocalResponseNorm, k=1.0, n=5, alpha=1e-4 / 5, beta=0.75)
_pool = partial(MaxPool, size=3, stride=2, ceil=True)

# fmt: off
TABLE: tuple[Any, ...] = (
    #              name  features kernel stride padding
    Conv(         "conv1",       64, 7, 2, 3, bias=0.2),               # 224 -> 112
    _pool(        "pool1"),                                            # 112 ->  56
    _norm(        "norm1"),
    Conv(         "conv2_reduce", 64, 1, bias=0.2),
    Conv(         "conv2",       192, 3, 1, 1, bias=0.2),
    _norm(        "norm2"),
    _pool(        "pool2"),                                            #  56 ->  28
    #              name          1x1  3x3r  3x3  5x5r  5x5  pool
    Inception(    "inception_3a",  64,  96, 128,   16,  32,   32),     # 256
    Inception(    "inception_3b", 128, 128, 192,   32,  96,   64),     # 480
    _pool(        "pool3"),                                            #  28 ->  14
    Inception(    "inception_4a", 192,  96, 208,   16,  48,   64),     # 512
    AuxiliaryHead("aux1", dropout=0.7),                                #  14 ->   4
    Inception(    "inception_4b", 160, 112, 224,   24,  64,   64),     # 512
    Inception(    "inception_4c", 128, 128, 256,   24,  64,   64),     # 512
    Inception(    "inception_4d", 112, 144, 288,   32,  64,   64),     # 528
    AuxiliaryHead("aux2", dropout=0.7),
    Inception(    "inception_4e", 256, 160, 320,   32, 128,  128),     # 832
    _pool(        "pool4"),                                            #  14 ->   7
    Inception(    "inception_5a", 256, 160, 320,   32, 128,  128),     # 832
    Inception(    "inception_5b", 384, 192, 384,   48, 128,  128),     # 1024
    AveragePool(  "pool5", 7, 1),                                      #   7 ->   1
    DropoutRow(   "dropout", 0.4),
    Classifier(   "linear"),
)

SMALL_TABLE: tuple[Any, ...] = (
    Conv(         "conv1",       16, 3, 1, 1),                         #  32
    _pool(        "pool1"),                                            #  32 ->  16
    _norm(        "norm1"),
    Conv(         "conv2_reduce", 16, 1),
    Conv(         "conv2",        48, 3, 1, 1),
    _norm(        "norm2"),
    _pool(        "pool2"),                                            #  16 ->   8
    #              name          1x1  3x3r  3x3  5x5r  5x5  pool
    Inception(    "inception_3a",  16,  24,  32,    4,   8,    8),     # 64
    Inception(    "inception_3b",  32,  32,  48,    8,  24,   16),     # 120
    _pool(        "pool3"),                                            #   8 ->   4
    Inception(    "inception_4a",  48,  24,  52,    4,  12,   16),     # 128
    AuxiliaryHead("aux1", 2, 2, 32, 256, dropout=0.7),                 #   4 ->   2
    Inception(    "inception_4b",  40,  28,  56,    6,  16,   16),     # 128
    Inception(    "inception_4c",  32,  32,  64,    6,  16,   16),     # 128
    Inception(    "inception_4d",  28,  36,  72,    8,  16,   16),     # 132
    AuxiliaryHead("aux2", 2, 2, 32, 256, dropout=0.7),
    Inception(    "inception_4e",  64,  40,  80,    8,  32,   32),     # 208
    _pool(        "pool4"),                                            #   4 ->   2
    Inception(    "inception_5a",  64,  40,  80,    8,  32,   32),     # 208
    Inception(    "inception_5b",  96,  48,  96,   12,  32,   32),     # 256
    AveragePool(  "pool5", 2, 1),                                      #   2 ->   1
    DropoutRow(   "dropout", 0.4),
    Classifier(   "linear"),
)
# fmt: on


def caffe_xavier(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    """Draw uniformly with variance 1 / fan_in: Caffe's filler of that name."""
    limit = math.sqrt(3.0 / math.prod(shape[:-1]))
    return jax.random.uniform(key, tuple(shape), dtype, -limit, limit)


class GoogLeNet(InceptionNetwork):
    """22 layers with parameters, nine of them pairs in Inception modules; two heads."""

    num_classes: int = 1000
    input_shape: ImageShape = (224, 224, 3)
    table: tuple[Any, ...] = TABLE
    initializer: Initializer = caffe_xavier
    bias: float = 0.2


class GoogLeNetSmall(InceptionNetwork):
    """The same layers for 32 x 32 images; see Departures."""

    num_classes: int = 10
    input_shape: ImageShape = (32, 32, 3)
    table: tuple[Any, ...] = SMALL_TABLE
    initializer: Initializer = he


def _published(top5: float, protocol: str) -> Published:
    return Published(
        top5=top5,
        protocol=f"ILSVRC-2012 val, {protocol}",
        source="Szegedy et al. 2015, Table 3",
    )


_paper = partial(
    ModelSpec,
    paper="Szegedy et al.",
    year=2015,
    source="Going Deeper with Convolutions, CVPR 2015, Table 1",
)

MODELS = {
    "googlenet": _paper(
        build=GoogLeNet,
        input_shape=(224, 224, 3),
        num_classes=1000,
        parameters=6_998_552,
        macs=1_582_671_872,
        published=(
            _published(10.07, "1 network, 1 crop"),
            _published(9.15, "1 network, 10 crops"),
            _published(7.89, "1 network, 144 crops"),
            _published(8.09, "7 networks, 1 crop"),
            _published(7.62, "7 networks, 10 crops"),
            _published(6.67, "7 networks, 144 crops"),
        ),
        printed=(
            Printed(
                quantity="parameters",
                figure="6,798K, the sum of a column",
                source="Szegedy et al. 2015, Table 1",
            ),
            Printed(
                quantity="multiply-adds",
                figure="1,502 million, the sum of a column",
                source="Szegedy et al. 2015, Table 1",
            ),
            Printed(
                quantity="multiply-adds",
                figure="1.5 billion",
                source="Szegedy et al. 2015, text",
            ),
        ),
    ),
    "googlenet_small": _paper(
        build=GoogLeNetSmall,
        input_shape=(32, 32, 3),
        num_classes=10,
        parameters=377_126,
        macs=7_912_448,
    ),
}
