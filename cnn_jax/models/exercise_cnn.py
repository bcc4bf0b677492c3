"""The network of a lecture's exercise, "complete the table": 62,958 parameters.

Source:
    Vilaplana. Convolutional Neural Networks. Introduction to Deep Learning, UPC TelecomBCN,
    4th edition, Day 4 Lecture 1, slides "Exercise" and "Solutions". The slides carry no
    date; the declared year is that of the newest work they cite.

Departures:
    The solution prints 84 x 10 + 84 = 84 parameters for the output layer; it has
    84 x 10 + 10 = 850. The exercise names neither the kind of pooling nor the activation:
    here maximum and ReLU, the lecture's usual ones. Weights start from He et al. 2015 and
    biases from 0. The softmax of the output belongs to the loss.
"""

from cnn_jax.layers.rows import Classifier, Conv, Dense, MaxPool, Table
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import ImageShape, ModelSpec

# fmt: off
#              name  features kernel        activation shape   parameters
TABLE: Table = (
    Conv(      "conv1",   8,    5),      # (28, 28,  8)            608
    MaxPool(   "pool1",         2, 2),   # (14, 14,  8)              0
    Conv(      "conv2",  16,    5),      # (10, 10, 16)          3,216
    MaxPool(   "pool2",         2, 2),   # ( 5,  5, 16)              0
    Dense(     "fc1",   120),            # (120,)               48,120
    Dense(     "fc2",    84),            # (84,)                10,164
    Classifier("output"),                # (10,)                   850
)
# fmt: on


class ExerciseCNN(TableNetwork):
    """Two convolutions with pooling and three fully connected layers, in colour."""

    num_classes: int = 10
    input_shape: ImageShape = (32, 32, 3)
    table: Table = TABLE


MODELS = {
    "exercise_cnn": ModelSpec(
        build=ExerciseCNN,
        input_shape=(32, 32, 3),
        num_classes=10,
        parameters=62_958,
        macs=849_320,
        paper="Vilaplana",
        year=2016,
        source="Convolutional Neural Networks (lecture), Exercise and Solutions",
    ),
}
