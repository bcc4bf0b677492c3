"""Residual networks and their plain counterparts, on ImageNet and on CIFAR-10.

Source:
    He, Zhang, Ren and Sun. Deep Residual Learning for Image Recognition. CVPR 2016.
    Table 1 (ImageNet), Section 3.3 (plain networks, shortcuts), Section 4.1 (options A, B,
    C), Section 4.2 (CIFAR-10: 6 n + 2 layers).
    Huang, Sun, Liu, Sedra and Weinberger. Deep Networks with Stochastic Depth. ECCV 2016.
    Equations 2, 4 and 5 (``survival`` is p_L; 1 is the network of He et al.).

Departures:
    Batch normalisation has epsilon 1e-5, as the released Caffe models and torch have it;
    the paper prints none. Running statistics are moving averages that keep 0.9 a step
    (torch's momentum of 0.1) of biased variances; the released networks averaged them over
    many images after training, and torch's variances are unbiased.
    Zeros of option A come after the channels that there are; subsampling takes the first
    of every two pixels. The 7 x 7 / 2 convolution is padded by 3 and the 3 x 3 / 2 pool by
    1 on each side, rounding down: 112 and 56 pixels, as Table 1 prints.
    ``stride_in="3x3"`` moves the stride of a bottleneck from its first 1 x 1, as printed,
    to its 3 x 3 (torch's "v1.5"). ``conv_bias=True`` gives convolutions biases as well, as
    Keras does. Options B and C normalise their projections, as the
    released networks do. The classifier's weights start from He et al. 2015 as well.
    Blocks are named conv2_1, conv2_2, ... on CIFAR-10 too, where the paper names none.
    Stochastic depth draws once a block and step for the whole batch, as its paper does: no
    row is drawn for, so the draw is the same on every device. A block that is left out
    keeps its running statistics; its branch is computed and multiplied by 0, so the
    paper's 25 % of training time is not saved. L and l count the blocks that the table
    has: an edit of the table moves the probabilities.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from cnn_jax.layers.residual import BasicBlock, Bottleneck, Shortcut, stack
from cnn_jax.layers.residual_network import GlobalAveragePool, ResidualNetwork, Table
from cnn_jax.layers.rows import Classifier, Conv, MaxPool
from cnn_jax.types import ImageShape, ModelSpec, Printed, Published

# fmt: off
#               name  features kernel stride padding   Table 1
STEM: Table = (
    Conv(      "conv1",   64,   7,     2,    3),       # 224 -> 112
    MaxPool(   "pool1",         3,     2,    1),       # 112 ->  56
)
#               stage   width features stride          of its first block, else 1
BASIC = (
    BasicBlock("conv2",         64,    1),             #  56
    BasicBlock("conv3",        128,    2),             #  28
    BasicBlock("conv4",        256,    2),             #  14
    BasicBlock("conv5",        512,    2),             #   7
)
BOTTLENECK = (
    Bottleneck("conv2",   64,  256,    1),
    Bottleneck("conv3",  128,  512,    2),
    Bottleneck("conv4",  256, 1024,    2),
    Bottleneck("conv5",  512, 2048,    2),
)
#                                                      Section 4.2
CIFAR_STEM: Table = (
    Conv(      "conv1",   16,   3,     1,    1),       #  32
)
CIFAR = (
    BasicBlock("conv2",         16,    1),             #  32
    BasicBlock("conv3",         32,    2),             #  16
    BasicBlock("conv4",         64,    2),             #   8
)
END: Table = (
    GlobalAveragePool("gap"),                          #   1
    Classifier("fc"),
)

#                     conv2_x conv3_x conv4_x conv5_x  Table 1
TABLE_18 = (*STEM, *stack(BASIC,      (2, 2,  2, 2)), *END)
TABLE_34 = (*STEM, *stack(BASIC,      (3, 4,  6, 3)), *END)
TABLE_50 = (*STEM, *stack(BOTTLENECK, (3, 4,  6, 3)), *END)
TABLE_101 = (*STEM, *stack(BOTTLENECK, (3, 4, 23, 3)), *END)
TABLE_152 = (*STEM, *stack(BOTTLENECK, (3, 8, 36, 3)), *END)
# fmt: on


def cifar_table(n: int) -> Table:
    """Return the rows of the CIFAR-10 network of 6 ``n`` + 2 layers."""
    return (*CIFAR_STEM, *stack(CIFAR, (n, n, n)), *END)


class ResNet(ResidualNetwork):
    """The ImageNet networks; ``shortcut="none"`` is the plain counterpart."""

    num_classes: int = 1000
    input_shape: ImageShape = (224, 224, 3)
    table: Table = TABLE_50
    shortcut: Shortcut = "B"


class CifarResNet(ResidualNetwork):
    """The CIFAR-10 networks: with option A they have no parameters but the plain ones'."""

    num_classes: int = 10
    input_shape: ImageShape = (32, 32, 3)
    table: Table = cifar_table(3)
    shortcut: Shortcut = "A"


_TITLE = "Deep Residual Learning for Image Recognition, CVPR 2016"
_imagenet = partial(
    ModelSpec,
    input_shape=(224, 224, 3),
    num_classes=1000,
    paper="He et al.",
    year=2016,
    source=f"{_TITLE}, Table 1",
)


def _cifar(n: int, *published: Published, **claims: Any) -> ModelSpec:
    shortcut = claims.pop("shortcut", "A")
    return ModelSpec(
        build=partial(CifarResNet, table=cifar_table(n), shortcut=shortcut),
        input_shape=(32, 32, 3),
        num_classes=10,
        paper="He et al.",
        year=2016,
        source=f"{_TITLE}, Section 4.2",
        published=published,
        **claims,
    )


def _printed(protocol: str, source: str) -> Callable[..., Published]:
    def error(top1: float, top5: float | None = None, option: str = "") -> Published:
        how = f"{protocol}, {option}" if option else protocol
        return Published(top1=top1, top5=top5, protocol=how, source=source)

    return error


_TEN = "ILSVRC-2012 val, 1 network, 10 crops"
_one_crop = _printed("ILSVRC-2012 val, 1 network, 1 crop", "released networks' README")
_table_2 = _printed(_TEN, "He et al. 2016, Table 2")
_table_3 = _printed(_TEN, "He et al. 2016, Table 3")
_table_4 = _printed("ILSVRC-2012 val, dense, 5 scales", "He et al. 2016, Table 4")
_TEST = "CIFAR-10 test, flips and crops in training"
_table_6 = _printed(_TEST, "He et al. 2016, Table 6")
_huang = _printed(f"{_TEST}, survival 0.5, 500 epochs", "Huang et al. 2016, Section 4")


def _operations(billions: str) -> tuple[Printed, ...]:
    source = "He et al. 2016, Table 1"
    figure = f"{billions} x 10^9 FLOPs"
    return (Printed(quantity="multiply-adds", figure=figure, source=source),)


def _parameters(millions: str) -> tuple[Printed, ...]:
    source = "He et al. 2016, Table 6"
    figure = f"{millions} million"
    return (Printed(quantity="parameters", figure=figure, source=source),)


_18, _34 = partial(ResNet, table=TABLE_18), partial(ResNet, table=TABLE_34)

MODELS = {
    "plain18": _imagenet(
        build=partial(_18, shortcut="none"),
        parameters=11_515_688,
        macs=1_794_805_760,
        published=(_table_2(27.94),),
    ),
    "plain34": _imagenet(
        build=partial(_34, shortcut="none"),
        parameters=21_623_848,
        macs=3_644_493_824,
        published=(_table_3(28.54, 10.02),),
    ),
    "resnet18": _imagenet(
        build=_18,
        parameters=11_689_512,
        macs=1_814_073_344,
        printed=_operations("1.8"),
        published=(_table_2(27.88, option="option A"),),
    ),
    "resnet34": _imagenet(
        build=_34,
        parameters=21_797_672,
        macs=3_663_761_408,
        printed=_operations("3.6"),
        published=(
            _table_3(24.52, 7.46),
            _table_3(25.03, 7.76, option="option A"),
            _table_3(24.19, 7.40, option="option C"),
            _table_4(21.84, 5.71),
            _table_4(21.53, 5.60, option="option C"),
        ),
    ),
    "resnet50": _imagenet(
        build=partial(ResNet, table=TABLE_50),
        parameters=25_557_032,
        macs=3_857_973_248,
        printed=_operations("3.8"),
        published=(
            _table_3(22.85, 6.71),
            _table_4(20.74, 5.25),
            _one_crop(24.7, 7.8),
        ),
    ),
    "resnet101": _imagenet(
        build=partial(ResNet, table=TABLE_101),
        parameters=44_549_160,
        macs=7_570_194_432,
        printed=_operations("7.6"),
        published=(
            _table_3(21.75, 6.05),
            _table_4(19.87, 4.60),
            _one_crop(23.6, 7.1),
        ),
    ),
    "resnet152": _imagenet(
        build=partial(ResNet, table=TABLE_152),
        parameters=60_192_808,
        macs=11_282_415_616,
        printed=_operations("11.3"),
        published=(
            _table_3(21.43, 5.71),
            _table_4(19.38, 4.49),
            _one_crop(23.0, 6.7),
        ),
    ),
    "plain20": _cifar(3, shortcut="none", parameters=269_722, macs=40_551_040),
    "plain32": _cifar(5, shortcut="none", parameters=464_154, macs=68_862_592),
    "plain44": _cifar(7, shortcut="none", parameters=658_586, macs=97_174_144),
    "plain56": _cifar(9, shortcut="none", parameters=853_018, macs=125_485_696),
    "plain110": _cifar(18, shortcut="none", parameters=1_727_962, macs=252_887_680),
    "resnet20": _cifar(
        3,
        _table_6(8.75),
        parameters=269_722,
        macs=40_551_040,
        printed=_parameters("0.27"),
    ),
    "resnet32": _cifar(
        5,
        _table_6(7.51),
        parameters=464_154,
        macs=68_862_592,
        printed=_parameters("0.46"),
    ),
    "resnet44": _cifar(
        7,
        _table_6(7.17),
        parameters=658_586,
        macs=97_174_144,
        printed=_parameters("0.66"),
    ),
    "resnet56": _cifar(
        9,
        _table_6(6.97),
        parameters=853_018,
        macs=125_485_696,
        printed=_parameters("0.85"),
    ),
    "resnet110": _cifar(
        18,
        _table_6(6.43, option="best of 5 (6.61 +- 0.16)"),
        _huang(5.25),
        parameters=1_727_962,
        macs=252_887_680,
        printed=_parameters("1.7"),
    ),
    "resnet1202": _cifar(
        200,
        _table_6(7.93),
        _huang(4.91),
        parameters=19_421_274,
        macs=2_829_238_912,
        printed=_parameters("19.4"),
    ),
}
