"""Inception v3.

Source:
    Szegedy, Vanhoucke, Ioffe, Shlens and Wojna. Rethinking the Inception Architecture for
    Computer Vision. CVPR 2016. Sections 3 to 6, Figures 5 to 8 and 10.
    Layers and names as Google released them: ``inception_v3`` of TF-slim.

Departures:
    This is the released network, not the paper's Table 1, which prints: a 3 x 3 convolution
    to 80 channels (here 1 x 1), 3 x 3 / 2 to 192 (here 3 x 3 / 1, then a pool), one more
    3 x 3 to 288 (here none), three modules of Figure 5 (here with a 5 x 5 branch, as in
    Figure 4), and five of Figure 6 (here four). The modules that halve the maps have no row
    there. Its costs are printed as 4.8 and 5 billion multiply-adds; these layers have 5.7.
    From the release: dropout of 20 % before the classifier; batch normalisation has epsilon
    0.001 and keeps 0.9997 of its running statistics a step; means over 3 x 3 pixels divide
    by the pixels inside the image. Scale and shift are both learned, as in Ioffe and
    Szegedy 2015 and in torchvision; the release learns the shift alone.
    torchvision's port differs in three numbers: means divide by 9 everywhere
    (``count_padding=True``), dropout is 50 %, and it keeps 0.9 of the running statistics.
    Weights start from He et al. 2015, as in the release but not cut off at two deviations;
    its smaller deviations in the auxiliary head (0.01, 0.001) are left out.
    The head stands on the row above it in the table (mixed_6e): when that row is removed,
    the head stands on the one before.
    The running variance averages batch variances as they are; see ``BatchNorm``.
"""

from dataclasses import dataclass
from typing import Any

from cnn_jax.layers.auxiliary_head import AuxiliaryHead
from cnn_jax.layers.batch_norm import BatchNorm
from cnn_jax.layers.batch_norm_conv import ConvNorm
from cnn_jax.layers.inception import (
    Branch,
    Branches,
    DropoutRow,
    Fork,
    InceptionNetwork,
    ModuleRow,
    Pool,
    Unit,
)
from cnn_jax.layers.rows import AveragePool, Classifier, MaxPool
from cnn_jax.types import ImageShape, ModelSpec, Printed, Published

ROW, COLUMN = (1, 7), (7, 1)  # kernels: height, width


def _pooled(features: int) -> Branch:
    return (Pool("average", 3), Unit("pool_proj", features))


@dataclass(frozen=True)
class InceptionA(ModuleRow):
    """A module on 35 x 35 pixels: output channels of each convolution."""

    conv1x1: int
    conv5x5_reduce: int
    conv5x5: int
    double3x3_reduce: int
    double3x3: int
    pool_proj: int

    @property
    def branches(self) -> Branches:
        """1 x 1; 5 x 5; twice 3 x 3; 3 x 3 mean."""
        return (
            (Unit("conv1x1", self.conv1x1),),
            (
                Unit("conv5x5_reduce", self.conv5x5_reduce),
                Unit("conv5x5", self.conv5x5, (5, 5)),
            ),
            (
                Unit("double3x3_reduce", self.double3x3_reduce),
                Unit("double3x3_a", self.double3x3, (3, 3)),
                Unit("double3x3_b", self.double3x3, (3, 3)),
            ),
            _pooled(self.pool_proj),
        )


@dataclass(frozen=True)
class ReductionA(ModuleRow):
    """From 35 x 35 to 17 x 17 pixels (Figure 10)."""

    conv3x3: int
    double3x3_reduce: int
    double3x3: int

    @property
    def branches(self) -> Branches:
        """3 x 3; twice 3 x 3; 3 x 3 maximum; the last of each with stride 2, not padded."""
        return (
            (Unit("conv3x3", self.conv3x3, (3, 3), 2, "valid"),),
            (
                Unit("double3x3_reduce", self.double3x3_reduce),
                Unit("double3x3_a", self.double3x3, (3, 3)),
                Unit("double3x3_b", self.double3x3, (3, 3), 2, "valid"),
            ),
            (Pool("max", 3, 2, "valid"),),
        )


@dataclass(frozen=True)
class InceptionB(ModuleRow):
    """A module on 17 x 17 pixels (Figure 6): 7 x 7 as 1 x 7 and 7 x 1."""

    conv1x1: int
    conv7x7_reduce: int
    conv7x7: int
    double7x7_reduce: int
    double7x7: int
    pool_proj: int

    @property
    def branches(self) -> Branches:
        """1 x 1; 1 x 7, 7 x 1; twice 7 x 1, 1 x 7; 3 x 3 mean."""
        narrow = self.double7x7_reduce
        return (
            (Unit("conv1x1", self.conv1x1),),
            (
                Unit("conv7x7_reduce", self.conv7x7_reduce),
                Unit("conv1x7", self.conv7x7_reduce, ROW),
                Unit("conv7x1", self.conv7x7, COLUMN),
            ),
            (
                Unit("double7x7_reduce", narrow),
                Unit("double7x1_a", narrow, COLUMN),
                Unit("double1x7_a", narrow, ROW),
                Unit("double7x1_b", narrow, COLUMN),
                Unit("double1x7_b", self.double7x7, ROW),
            ),
            _pooled(self.pool_proj),
        )


@dataclass(frozen=True)
class ReductionB(ModuleRow):
    """From 17 x 17 to 8 x 8 pixels."""

    conv3x3_reduce: int
    conv3x3: int
    conv7x7x3_reduce: int
    conv7x7x3: int

    @property
    def branches(self) -> Branches:
        """3 x 3; 1 x 7, 7 x 1, 3 x 3; 3 x 3 maximum; the last with stride 2, not padded."""
        return (
            (
                Unit("conv3x3_reduce", self.conv3x3_reduce),
                Unit("conv3x3", self.conv3x3, (3, 3), 2, "valid"),
            ),
            (
                Unit("conv7x7x3_reduce", self.conv7x7x3_reduce),
                Unit("conv7x7x3_row", self.conv7x7x3_reduce, ROW),
                Unit("conv7x7x3_column", self.conv7x7x3_reduce, COLUMN),
                Unit("conv7x7x3", self.conv7x7x3, (3, 3), 2, "valid"),
            ),
            (Pool("max", 3, 2, "valid"),),
        )


@dataclass(frozen=True)
class InceptionC(ModuleRow):
    """A module on 8 x 8 pixels (Figure 7): 1 x 3 and 3 x 1 side by side."""

    conv1x1: int
    conv3x3_reduce: int
    conv3x3: int
    double3x3_reduce: int
    double3x3: int
    pool_proj: int

    @property
    def branches(self) -> Branches:
        """1 x 1; 1 x 3 beside 3 x 1; 3 x 3, then 1 x 3 beside 3 x 1; 3 x 3 mean."""

        def fork(name: str, features: int) -> Fork:
            return Fork(
                (
                    (Unit(f"{name}1x3", features, (1, 3)),),
                    (Unit(f"{name}3x1", features, (3, 1)),),
                )
            )

        return (
            (Unit("conv1x1", self.conv1x1),),
            (Unit("conv3x3_reduce", self.conv3x3_reduce), fork("conv", self.conv3x3)),
            (
                Unit("double3x3_reduce", self.double3x3_reduce),
                Unit("double3x3", self.double3x3, (3, 3)),
                fork("double", self.double3x3),
            ),
            _pooled(self.pool_proj),
        )


# fmt: off
TABLE: tuple[Any, ...] = (
    #            name      features kernel stride padding
    ConvNorm(   "conv2d_1a_3x3",  32, 3, 2, "valid"),           # 299 -> 149
    ConvNorm(   "conv2d_2a_3x3",  32, 3, 1, "valid"),           # 149 -> 147
    ConvNorm(   "conv2d_2b_3x3",  64, 3, 1, "same"),            # 147
    MaxPool(    "pool1", 3, 2),                                 # 147 ->  73
    ConvNorm(   "conv2d_3b_1x1",  80, 1, 1, "valid"),           #  73
    ConvNorm(   "conv2d_4a_3x3", 192, 3, 1, "valid"),           #  73 ->  71
    MaxPool(    "pool2", 3, 2),                                 #  71 ->  35
    #            name      1x1  5x5r  5x5 d3x3r d3x3 pool
    InceptionA( "mixed_5b",  64,  48,  64,  64,  96,  32),      # 256
    InceptionA( "mixed_5c",  64,  48,  64,  64,  96,  64),      # 288
    InceptionA( "mixed_5d",  64,  48,  64,  64,  96,  64),      # 288
    #            name      3x3 d3x3r d3x3
    ReductionA( "mixed_6a", 384,  64,  96),                     #  35 ->  17, 768
    #            name      1x1  7x7r  7x7 d7x7r d7x7 pool
    InceptionB( "mixed_6b", 192, 128, 192, 128, 192, 192),      # 768
    InceptionB( "mixed_6c", 192, 160, 192, 160, 192, 192),      # 768
    InceptionB( "mixed_6d", 192, 160, 192, 160, 192, 192),      # 768
    InceptionB( "mixed_6e", 192, 192, 192, 192, 192, 192),      # 768
    AuxiliaryHead("aux1", 5, 3, 128, 768, window=5),            #  17 ->   5 -> 1
    #            name     3x3r  3x3 773r  773
    ReductionB( "mixed_7a", 192, 320, 192, 192),                #  17 ->   8, 1280
    #            name      1x1  3x3r  3x3 d3x3r d3x3 pool
    InceptionC( "mixed_7b", 320, 384, 384, 448, 384, 192),      # 2048
    InceptionC( "mixed_7c", 320, 384, 384, 448, 384, 192),      # 2048
    AveragePool("pool3", 8, 1),                                 #   8 ->   1
    DropoutRow( "dropout", 0.2),
    Classifier( "linear"),
)
# fmt: on


class InceptionV3(InceptionNetwork):
    """Eleven Inception modules, every convolution batch-normalised; one head."""

    num_classes: int = 1000
    input_shape: ImageShape = (299, 299, 3)
    table: tuple[Any, ...] = TABLE
    batch_norm: BatchNorm | None = BatchNorm(epsilon=1e-3, momentum=0.9997)


def _published(top1: float, top5: float, protocol: str, table: int) -> Published:
    return Published(
        top1=top1,
        top5=top5,
        protocol=f"ILSVRC-2012, 48,238 of val, {protocol}",
        source=f"Szegedy et al. 2016, Table {table}",
    )


MODELS = {
    "inception_v3": ModelSpec(
        build=InceptionV3,
        input_shape=(299, 299, 3),
        num_classes=1000,
        parameters=23_834_568,
        macs=5_713_216_096,
        paper="Szegedy et al.",
        year=2016,
        source="Rethinking the Inception Architecture for Computer Vision, CVPR 2016",
        published=(
            _published(21.2, 5.6, "1 network, 1 crop", 3),
            _published(19.47, 4.48, "1 network, 12 crops", 4),
            _published(18.77, 4.2, "1 network, 144 crops", 4),
            _published(17.2, 3.58, "4 networks, 144 crops (top-5: test)", 5),
        ),
        printed=(
            Printed(
                quantity="parameters",
                figure="less than 25 million",
                source="Szegedy et al. 2016, abstract",
            ),
            Printed(
                quantity="multiply-adds",
                figure="5 billion",
                source="Szegedy et al. 2016, abstract",
            ),
            Printed(
                quantity="multiply-adds",
                figure="4.8 billion",
                source="Szegedy et al. 2016, Table 3",
            ),
        ),
    ),
}
