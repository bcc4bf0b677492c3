"""Group-equivariant twins of an all-convolutional and of a residual net, on CIFAR-10.

Source:
    Cohen and Welling. Group Equivariant Convolutional Networks. ICML 2016. Section 8.2 and
    Table 2, which prints the totals: 1.37M, 1.37M, 1.22M and 2.64M, 2.62M.
    Springenberg, Dosovitskiy, Brox and Riedmiller. Striving for Simplicity. ICLR 2015
    workshop, Table 1, All-CNN-C.
    The widths are those of the authors' programs and notes (github.com/tscohen/
    gconv_experiments, CIFAR10/models and README): 96 and 192 maps on the plane, 48 and 96
    on p4, 32 and 64 on p4m; 32, 64 and 128 maps on the plane, 11, 23 and 45 on p4m. That is
    about the planar width over the square root of the number of orientations, which keeps
    the number of parameters. Biases, batch normalisation (after the last layer as well) and
    the initial deviations of the all-convolutional nets are from there too.

Departures:
    ``z2_all_cnn_c`` is Springenberg's net as Cohen and Welling train it: with batch
    normalisation, padding in every 3 x 3 layer, and means over 8 x 8 maps.
    Running statistics are moving averages that keep 0.9 a step. The residual nets start
    from He et al. 2015, the fan-in that of one output.

The strides of 2 on 32 and 16 pixels take the first of every two rows and columns, not a
symmetric half, as printed: turning the image then turns the maps only nearly. On sizes of
4 n + 1 pixels (33) the networks are exactly equivariant, and the scores of the
all-convolutional ones do not change. The classifier of ``p4m_resnet44`` sees the eight
orientations one by one, as in the authors' program, so its scores do.
"""

from functools import partial

from cnn_jax.layers.group_network import (
    GroupClassifier,
    GroupConv,
    GroupNetwork,
    InputDropout,
    Table,
)
from cnn_jax.layers.group_residual import (
    GroupBlock,
    GroupResidualNetwork,
    GroupStem,
    OrientedClassifier,
)
from cnn_jax.layers.initializers import gaussian
from cnn_jax.types import ImageShape, ModelSpec, Printed, Published


def all_cnn_table(narrow: int, wide: int) -> Table:
    """Return All-CNN-C with ``narrow`` maps up to the first stride, then ``wide``."""
    # fmt: off
    #                     name   features kernel stride padding
    return (
        InputDropout(   "drop0",   0.2),
        GroupConv(      "conv1",   narrow, 3,  1,  1),
        GroupConv(      "conv2",   narrow, 3,  1,  1),
        GroupConv(      "conv3",   narrow, 3,  2,  1, dropout=0.5),  # 32 -> 16
        GroupConv(      "conv4",   wide,   3,  1,  1),
        GroupConv(      "conv5",   wide,   3,  1,  1),
        GroupConv(      "conv6",   wide,   3,  2,  1, dropout=0.5),  # 16 ->  8
        GroupConv(      "conv7",   wide,   3,  1,  1),
        GroupConv(      "conv8",   wide,   1),
        GroupClassifier("conv9",           1, pool="mean", normalised=True),
    )
    # fmt: on


def resnet_table(n: int, widths: tuple[int, int, int]) -> tuple[object, ...]:
    """Return a residual net of 6 ``n`` + 2 layers, ``n`` blocks of each width."""
    stages = zip((2, 3, 4), widths, (1, 2, 2), strict=True)
    return (
        GroupStem("conv1", widths[0]),
        *(
            GroupBlock(f"conv{stage}_{number}", width, stride if number == 1 else 1)
            for stage, width, stride in stages  # 32, 16 and 8 pixels
            for number in range(1, n + 1)
        ),
        OrientedClassifier("fc"),
    )


class AllCNN(GroupNetwork):
    """The all-convolutional network."""

    input_shape: ImageShape = (32, 32, 3)
    table: Table = all_cnn_table(96, 192)
    group: str = "z2"


class GroupResNet(GroupResidualNetwork):
    """The residual network of 44 layers."""

    input_shape: ImageShape = (32, 32, 3)
    table: tuple[object, ...] = resnet_table(7, (32, 64, 128))
    group: str = "z2"


def _spec(
    build: object, *, total: str, errors: tuple[float, float], parameters: int, macs: int
) -> ModelSpec:
    table = "Cohen & Welling 2016, Table 2"
    protocols = ("CIFAR-10 test", "CIFAR-10 test, flips and crops in training")
    return ModelSpec(
        build=build,  # type: ignore[arg-type]
        input_shape=(32, 32, 3),
        num_classes=10,
        parameters=parameters,
        macs=macs,
        paper="Cohen & Welling",
        year=2016,
        source="Group Equivariant Convolutional Networks, ICML 2016, Table 2",
        published=tuple(
            Published(top1=error, protocol=protocol, source=table)
            for error, protocol in zip(errors, protocols, strict=True)
        ),
        printed=(Printed(quantity="parameters", figure=total, source=table),),
    )


_ON_PLANE = partial(gaussian, deviation=0.05)
_ON_GROUP = partial(gaussian, deviation=0.035)

MODELS = {
    "z2_all_cnn_c": _spec(
        partial(AllCNN, initializer=_ON_PLANE),
        total="1.37 million",
        errors=(9.44, 8.86),
        parameters=1_372_254,
        macs=281_174_016,
    ),
    "p4_all_cnn_c": _spec(
        partial(AllCNN, table=all_cnn_table(48, 96), group="p4", initializer=_ON_GROUP),
        total="1.37 million",
        errors=(8.84, 7.67),
        parameters=1_371_006,
        macs=1_119_879_168,
    ),
    "p4m_all_cnn_c": _spec(
        partial(AllCNN, table=all_cnn_table(32, 64), group="p4m", initializer=_ON_GROUP),
        total="1.22 million",
        errors=(7.59, 7.04),
        parameters=1_219_678,
        macs=1_989_410_816,
    ),
    "z2_resnet44": _spec(
        GroupResNet,
        total="2.64 million",
        errors=(9.45, 5.61),
        parameters=2_639_434,
        macs=388_859_136,
    ),
    "p4m_resnet44": _spec(
        partial(GroupResNet, table=resnet_table(7, (11, 23, 45)), group="p4m"),
        total="2.62 million",
        errors=(6.46, 4.94),
        parameters=2_622_878,
        macs=3_069_943_312,
    ),
}
