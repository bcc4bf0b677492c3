"""PReLU-nets A, B and C.

Source:
    He, Zhang, Ren and Sun. Delving Deep into Rectifiers: Surpassing Human-Level
    Performance on ImageNet Classification. ICCV 2015 (arXiv 1502.01852). Table 3 (layers),
    Section 2.1 (PReLU, one slope a channel), Section 2.2 (initial weights, equation 14).
    Spatial pyramid pooling: He et al. 2014; see ``layers/spatial_pyramid_pooling.py``.

Departures:
    None in the layers. conv1 takes 3 pixels of zeros on each side, which is what makes
    224 -> 112. The names conv2_1 ... conv4_6 are ours, in the manner of VGG; fc1, fc2, fc3
    are the paper's. The levels of the pyramid are concatenated in the printed order 7, 3,
    2, 1; the paper does not say how, and any order gives the same network.
    Slopes are counted as parameters, 14,688 of A's. A PReLU follows each convolution and
    fc1 and fc2; ``activation=relu`` gives the paper's "A + ReLU" (24.02 / 6.51 % with
    several scales).
    The fully connected layers start from Gaussians of deviation 0.01, 0.01 and 0.001, as
    public notes on the paper have it; all biases from 0.
    Table 3's operations, 1.90, 2.32 and 5.30 times 10^10, are 1.906, 2.322 and 5.346 by
    arithmetic on its own rows: A is cut, not rounded, and for C no reading gives 5.30.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
from jax import Array

from cnn_jax.layers.activations import Activation, PReLU
from cnn_jax.layers.initializers import gaussian
from cnn_jax.layers.rows import (
    Classifier,
    Conv,
    Dense,
    Initializer,
    MaxPool,
    SpatialPyramidPool,
    Table,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import ImageShape, Key, ModelSpec, Printed, Published


def he_backward(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    """Draw from N(0, 2 / (k^2 d)), d the layer's filters: He et al. 2015, equation 14.

    The gradients, not the features, keep their size (the paper's choice for these nets).
    """
    fan_out = math.prod(shape[:-2]) * shape[-1]
    return gaussian(key, shape, dtype, deviation=math.sqrt(2.0 / fan_out))


def _table(layers: int, features: tuple[int, int, int]) -> Table:
    """Return the rows of one column of Table 3.

    Args:
        layers: 3 x 3 convolutions on each of the three map sizes.
        features: their widths.
    """
    blocks = {
        stage: tuple(
            Conv(f"conv{stage}_{i}", width, 3, padding=1) for i in range(1, layers + 1)
        )
        for stage, width in zip((2, 3, 4), features, strict=True)
    }
    return (
        Conv("conv1", 96, 7, stride=2, padding=3),  # 224 -> 112
        MaxPool("pool1", 2, 2),  # 112 -> 56
        *blocks[2],
        MaxPool("pool2", 2, 2),  # 56 -> 28
        *blocks[3],
        MaxPool("pool3", 2, 2),  # 28 -> 14
        *blocks[4],
        SpatialPyramidPool("spp", (7, 3, 2, 1)),  # 14 x 14 -> 63 bins
        Dense("fc1", 4096, dropout=0.5, deviation=0.01),
        Dense("fc2", 4096, dropout=0.5, deviation=0.01),
        Classifier("fc3", deviation=0.001),
    )


#                 layers   56    28   14
TABLE_A = _table(5, (256, 512, 512))  # 19 weight layers
TABLE_B = _table(6, (256, 512, 512))  # 22
TABLE_C = _table(6, (384, 768, 896))  # 22


class PReLUNet(TableNetwork):
    """16 or 19 convolutions with learned slopes, a pyramid, three dense layers."""

    num_classes: int = 1000
    input_shape: ImageShape = (224, 224, 3)
    table: Table = TABLE_A
    activation: Activation = PReLU
    initializer: Initializer = he_backward


_paper = partial(
    ModelSpec,
    paper="He et al.",
    year=2015,
    source="Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet "
    "Classification, ICCV 2015, Table 3",
    input_shape=(224, 224, 3),
    num_classes=1000,
)
_multi_scale = partial(
    Published,
    protocol="ILSVRC-2012 val, 1 network, several scales, views pooled on feature maps",
    source="He et al. 2015, single-model results",
)


def _printed(figure: str) -> tuple[Printed, ...]:
    return (
        Printed(
            quantity="multiply-adds",
            figure=f"{figure} x 10^10 operations",
            source="He et al. 2015, Table 3",
        ),
    )


MODELS = {
    "prelu_net_a": _paper(
        build=PReLUNet,
        parameters=178_032_072,
        macs=19_058_106_368,
        printed=_printed("1.90"),
        published=(_multi_scale(top1=22.97, top5=6.28),),
    ),
    "prelu_net_b": _paper(
        build=partial(PReLUNet, table=TABLE_B),
        parameters=183_343_048,
        macs=23_219_904_512,
        printed=_printed("2.32"),
        published=(_multi_scale(top1=22.85, top5=6.27),),
    ),
    "prelu_net_c": _paper(
        build=partial(PReLUNet, table=TABLE_C),
        parameters=330_623_944,
        macs=53_463_130_112,
        printed=_printed("5.30"),
        published=(
            _multi_scale(top1=21.59, top5=5.71),
            Published(
                top1=24.27,
                top5=7.38,
                protocol="ILSVRC-2012 val, 1 network, 10 crops",
                source="He et al. 2016 (ResNet), Table 3",
            ),
        ),
    ),
}
