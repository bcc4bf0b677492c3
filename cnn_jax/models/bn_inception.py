"""BN-Inception, also called Inception v2.

Source:
    Ioffe and Szegedy. Batch Normalization: Accelerating Deep Network Training by Reducing
    Internal Covariate Shift. ICML 2015. Figure 5 (widths), Sections 3.2 and 4.2.1.
    Where the paper is silent, Google's own release ``inception_v2`` of TF-slim.

Departures:
    conv1 is a full 7 x 7 convolution; the appendix says a separable one with 8 filters a
    channel.
    Figure 5 prints a projection to 128 channels in inception_4c and inception_4d, which
    would make 608 channels, and 576 channels out of both; 96, as released, gives 576.
    It prints 28 x 28 and 14 x 14 beside inception_3c and inception_4e: those are sizes of
    their inputs. The text counts 13.6 million parameters; the figure's widths have 11.2
    million (11,285,224 with 608 channels), and we found no reading that gives 13.6.
    From the release: zeros around images as TensorFlow puts them (conv1: 2 before, 3
    after); means over 3 x 3 pixels divide by the pixels inside the image; batch
    normalisation has epsilon 0.001 and keeps 0.9997 of its running statistics a step (the
    paper prints neither, and takes statistics of the population after training). Scale and
    shift are both learned, as in the paper; the release learns the shift alone.
    No dropout, as in the paper's BN-x5 and BN-x30 (the release drops 20 %). Weights start
    from He et al. 2015, as in the release but not cut off at two deviations; its smaller
    deviations for 1 x 1 convolutions and conv1 are left out.
    The running variance averages batch variances as they are; see ``BatchNorm``.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.batch_norm_conv import ConvNorm
from cnn_jax.layers.inception import (
    Branches,
    InceptionNetwork,
    ModuleRow,
    Pool,
    PoolKind,
    Unit,
)
from cnn_jax.layers.rows import AveragePool, Classifier, MaxPool
from cnn_jax.types import ImageShape, ModelSpec, Printed, Published


@dataclass(frozen=True)
class Inception(ModuleRow):
    """A row of Figure 5: output channels of each convolution, and which pool.

    ``pool`` is ``max`` or ``average``. With ``stride`` 2 there is no ``conv1x1``, and the
    pool hands its input's channels on: ``conv1x1`` and ``pool_proj`` are 0.
    """

    conv1x1: int
    conv3x3_reduce: int
    conv3x3: int
    double3x3_reduce: int
    double3x3: int
    pool: PoolKind
    pool_proj: int
    stride: int = 1

    @property
    def branches(self) -> Branches:
        """1 x 1; 3 x 3; twice 3 x 3; 3 x 3 pool."""
        pool = Pool(self.pool, 3, self.stride)
        branches: Branches = (
            (
                Unit("conv3x3_reduce", self.conv3x3_reduce),
                Unit("conv3x3", self.conv3x3, (3, 3), self.stride),
            ),
            (
                Unit("double3x3_reduce", self.double3x3_reduce),
                Unit("double3x3_a", self.double3x3, (3, 3)),
                Unit("double3x3_b", self.double3x3, (3, 3), self.stride),
            ),
        )
        if self.stride != 1 and self.conv1x1 == self.pool_proj == 0:
            return (*branches, (pool,))
        return (
            (Unit("conv1x1", self.conv1x1, stride=self.stride),),
            *branches,
            (pool, Unit("pool_proj", self.pool_proj)),
        )


_pool = partial(MaxPool, size=3, stride=2, ceil=True)

# fmt: off
TABLE: tuple[Any, ...] = (
    #            name     features kernel stride
    ConvNorm(   "conv1",         64, 7, 2),                                # 224 -> 112
    _pool(      "pool1"),                                                  # 112 ->  56
    ConvNorm(   "conv2_reduce",  64, 1),
    ConvNorm(   "conv2",        192, 3),
    _pool(      "pool2"),                                                  #  56 ->  28
    #            name          1x1  3x3r 3x3  d3x3r d3x3  pool       proj
    Inception(  "inception_3a",  64,  64,  64,  64,  96, "average",  32),   # 256
    Inception(  "inception_3b",  64,  64,  96,  64,  96, "average",  64),   # 320
    Inception(  "inception_3c",   0, 128, 160,  64,  96, "max",       0, 2),  # 28 -> 14
    Inception(  "inception_4a", 224,  64,  96,  96, 128, "average", 128),   # 576
    Inception(  "inception_4b", 192,  96, 128,  96, 128, "average", 128),   # 576
    Inception(  "inception_4c", 160, 128, 160, 128, 160, "average",  96),   # 576
    Inception(  "inception_4d",  96, 128, 192, 160, 192, "average",  96),   # 576
    Inception(  "inception_4e",   0, 128, 192, 192, 256, "max",       0, 2),  # 14 ->  7
    Inception(  "inception_5a", 352, 192, 320, 160, 224, "average", 128),   # 1024
    Inception(  "inception_5b", 352, 192, 320, 192, 224, "max",     128),   # 1024
    AveragePool("pool5", 7, 1),                                            #   7 ->   1
    Classifier( "linear"),
)
# fmt: on


class BNInception(InceptionNetwork):
    """Ten Inception modules, every convolution batch-normalised."""

    num_classes: int = 1000
    input_shape: ImageShape = (224, 224, 3)
    table: tuple[Any, ...] = TABLE
    batch_norm: BatchNorm | None = BatchNorm(epsilon=1e-3, momentum=0.9997)


def _published(top1: float, top5: float, protocol: str) -> Published:
    return Published(
        top1=top1,
        top5=top5,
        protocol=f"ILSVRC-2012 val, {protocol}",
        source="Ioffe and Szegedy 2015, Figure 4",
    )


MODELS = {
    "bn_inception": ModelSpec(
        build=BNInception,
        input_shape=(224, 224, 3),
        num_classes=1000,
        parameters=11_194_984,
        macs=2_018_851_840,
        paper="Ioffe and Szegedy",
        year=2015,
        source="Batch Normalization, ICML 2015, Figure 5",
        published=(
            _published(25.2, 7.82, "1 network, 1 crop"),
            _published(21.99, 5.82, "1 network, 144 crops"),
            Published(
                top1=21.99,
                top5=5.81,  # the same measurement, as that paper quotes it
                protocol="ILSVRC-2012 val, 1 network, 144 crops",
                source="He et al. 2016, Table 4",
            ),
            _published(20.1, 4.9, "6 networks, 144 crops"),
        ),
        printed=(
            Printed(
                quantity="parameters",
                figure="13.6 million",
                source="Ioffe and Szegedy 2015, text",
            ),
            Printed(
                quantity="multiply-adds",
                figure="2.0 billion",
                source="Szegedy et al. 2016, Table 3",
            ),
        ),
    ),
}
