"""The network of the PyTorch introduction: 431,080 parameters.

Source:
    Deep Learning Basics (Johns Hopkins University, Computer Vision, CS 600.461/661), "A
    Brief Introduction to Pytorch", class ``Net``. It is ``mnist/main.py`` of the
    repository pytorch/examples as of December 2018 (pull request 469).

Departures:
    Weights start from He et al. 2015 and biases from 0; PyTorch draws both uniformly from
    +-1 / sqrt(fan_in).
"""

from cnn_jax.layers.rows import Classifier, Conv, Dense, MaxPool, Table
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import ImageShape, ModelSpec

# fmt: off
#              name  features kernel
TABLE: Table = (
    Conv(      "conv1",  20,    5),      # 28 -> 24
    MaxPool(   "pool1",         2, 2),   # 24 -> 12
    Conv(      "conv2",  50,    5),      # 12 ->  8
    MaxPool(   "pool2",         2, 2),   #  8 ->  4
    Dense(     "fc1",   500),            # 800 -> 500
    Classifier("fc2"),
)
# fmt: on


class MnistNet(TableNetwork):
    """Two convolutions with maximum pooling, two fully connected layers, no dropout."""

    num_classes: int = 10
    input_shape: ImageShape = (28, 28, 1)
    table: Table = TABLE


MODELS = {
    "mnist_net": ModelSpec(
        build=MnistNet,
        input_shape=(28, 28, 1),
        num_classes=10,
        parameters=431_080,
        macs=2_293_000,
        paper="PyTorch examples",
        year=2018,
        source="Deep Learning Basics (lecture), A Brief Introduction to Pytorch, class Net",
    ),
}
