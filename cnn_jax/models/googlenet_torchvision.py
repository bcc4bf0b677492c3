"""GoogLeNet as torchvision has it: another network than the paper's.

Source:
    torchvision's ``googlenet`` (0.28), after Szegedy et al. Going Deeper with
    Convolutions. CVPR 2015; its weights come from a network that Google trained with
    TensorFlow. Names of the layers are the paper's.

Departures:
    From the paper (``models/googlenet.py``): every convolution is batch-normalised
    (epsilon 0.001, 0.9 of the running statistics kept a step, running variances unbiased)
    and has no biases; there is no local response normalisation; the branch of 5 x 5
    windows has 3 x 3 ones (torchvision's issue 906, kept because the weights have them);
    pool4 is 2 x 2; dropout before the classifier is 20 %, not 40 %; heads take means over
    4 x 4 bins that share pixels, not over windows of 5 x 5 with stride 3, and their hidden
    layer keeps its biases. The last mean is over all pixels, so images may be larger.
    Weights start from He et al. 2015; torchvision draws them with a deviation of 0.01.
    torchvision's pretrained heads were never trained, and it drops them when it loads.
    A head stands on the row above it in the table (inception_4a, inception_4d): when that
    row is removed, the head stands on the one before.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn

from cnn_jax.layers.adaptive_pooling import adaptive_average_pool
from cnn_jax.layers.auxiliary_head import AuxiliaryHead
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.batch_norm_conv import ConvStyle
from cnn_jax.layers.checks import check_row
from cnn_jax.layers.inception import (
    Branches,
    DropoutRow,
    InceptionNetwork,
    ModuleRow,
    Pool,
    Unit,
)
from cnn_jax.layers.residual import normalised_conv
from cnn_jax.layers.residual_network import GlobalAveragePool
from cnn_jax.layers.rows import Classifier, Conv, MaxPool
from cnn_jax.types import Features, ImageShape, ModelSpec, Published


@dataclass(frozen=True)
class Inception(ModuleRow):
    """Output channels of each convolution of a module; the third branch is the "5 x 5"."""

    conv1x1: int
    conv3x3_reduce: int
    conv3x3: int
    narrow3x3_reduce: int
    narrow3x3: int
    pool_proj: int

    @property
    def branches(self) -> Branches:
        """1 x 1; 3 x 3; 3 x 3 where the paper has 5 x 5; 3 x 3 maximum."""
        return (
            (Unit("conv1x1", self.conv1x1),),
            (
                Unit("conv3x3_reduce", self.conv3x3_reduce),
                Unit("conv3x3", self.conv3x3, (3, 3)),
            ),
            (
                Unit("narrow3x3_reduce", self.narrow3x3_reduce),
                Unit("narrow3x3", self.narrow3x3, (3, 3)),
            ),
            (Pool("max", 3), Unit("pool_proj", self.pool_proj)),
        )


@dataclass(frozen=True)
class AdaptiveHead(AuxiliaryHead):
    """A head on the means of ``bins`` x ``bins`` bins, whatever the size of the maps.

    Attributes:
        bins: along each axis.
    """

    size: int = 1
    stride: int = 1
    bins: int = 4


_pool = partial(MaxPool, stride=2, ceil=True)

# fmt: off
TABLE: tuple[Any, ...] = (
    #             name     features kernel stride padding
    Conv(        "conv1",        64, 7, 2, 3),                         # 224 -> 112
    _pool(       "pool1", 3),                                          # 112 ->  56
    Conv(        "conv2_reduce", 64, 1),
    Conv(        "conv2",       192, 3, 1, 1),
    _pool(       "pool2", 3),                                          #  56 ->  28
    #             name           1x1  3x3r  3x3  n3x3r n3x3 pool
    Inception(   "inception_3a",  64,  96, 128,   16,  32,   32),      # 256
    Inception(   "inception_3b", 128, 128, 192,   32,  96,   64),      # 480
    _pool(       "pool3", 3),                                          #  28 ->  14
    Inception(   "inception_4a", 192,  96, 208,   16,  48,   64),      # 512
    AdaptiveHead("aux1", dropout=0.7),                                 #  14 ->   4
    Inception(   "inception_4b", 160, 112, 224,   24,  64,   64),      # 512
    Inception(   "inception_4c", 128, 128, 256,   24,  64,   64),      # 512
    Inception(   "inception_4d", 112, 144, 288,   32,  64,   64),      # 528
    AdaptiveHead("aux2", dropout=0.7),
    Inception(   "inception_4e", 256, 160, 320,   32, 128,  128),      # 832
    _pool(       "pool4", 2),                                          #  14 ->   7
    Inception(   "inception_5a", 256, 160, 320,   32, 128,  128),      # 832
    Inception(   "inception_5b", 384, 192, 384,   48, 128,  128),      # 1024
    GlobalAveragePool("pool5"),                                        #   7 ->   1
    DropoutRow(  "dropout", 0.2),
    Classifier(  "linear"),
)
# fmt: on


class GoogLeNetTorchvision(InceptionNetwork):
    """Nine Inception modules, every convolution batch-normalised; two heads."""

    num_classes: int = 1000
    input_shape: ImageShape = (224, 224, 3)
    table: tuple[Any, ...] = TABLE
    batch_norm: BatchNorm = BatchNorm(epsilon=1e-3, momentum=0.9, unbiased=True)

    def _row(self, row: Any, x: Features, style: ConvStyle, *, train: bool) -> Features:
        if isinstance(row, Conv | GlobalAveragePool | AdaptiveHead) and x.ndim != 4:
            raise ValueError(
                f"{row.name}: it slides over images [N, H, W, C]; its input has shape "
                f"{x.shape[1:]} for each image"
            )
        match row:
            case Conv():
                check_row(row)
                # Padded alike on both sides, unlike ``ConvNorm`` of TensorFlow's networks.
                return nn.relu(
                    normalised_conv(
                        row,
                        x,
                        initializer=self.initializer,
                        batch_norm=self.batch_norm,
                        train=train,
                    )
                )
            case GlobalAveragePool():
                return x.mean((1, 2), keepdims=True)
            case AdaptiveHead() if self.auxiliary_heads:
                super()._row(row, adaptive_average_pool(x, row.bins), style, train=train)
                return x
        return super()._row(row, x, style, train=train)


MODELS = {
    "googlenet_torchvision": ModelSpec(
        build=GoogLeNetTorchvision,
        input_shape=(224, 224, 3),
        num_classes=1000,
        parameters=6_624_904,
        macs=1_498_376_192,
        paper="Szegedy et al.",
        year=2015,
        source="torchvision 0.28, googlenet, after Going Deeper with Convolutions, "
        "CVPR 2015",
        published=(
            Published(
                top1=30.222,
                top5=10.470,
                protocol="ILSVRC-2012 val, 1 network, 1 crop",
                source="torchvision, GoogLeNet_Weights.IMAGENET1K_V1",
            ),
        ),
    ),
}
