"""The multilayer perceptron: one hidden layer, y = v s(W x).

Source:
    Deep Learning Basics (Johns Hopkins University, Computer Vision, CS 600.461/661), "More
    Layers": u = s(W x), y = v u with x_0 = 1; "Activation Functions": tanh is preferred,
    as tanh(0) = 0 and it is closer to the identity near 0; "Universal Approximation
    Theorem". The theorem is Cybenko, Approximation by Superpositions of a Sigmoidal
    Function, Mathematics of Control, Signals and Systems 2, 1989.

Departures:
    The lecture states neither the size of the image nor the number of hidden units: here
    28 x 28 grey pixels and 512 units. Biases are parameters of their own (the lecture
    prepends a 1 to x), the output layer has them too, as in its worked example of
    backpropagation, and there is one output a class. Weights start from Glorot and Bengio
    2010. More hidden layers are more ``Dense`` rows in the table.
"""

from cnn_jax.layers.activations import Activation, tanh
from cnn_jax.layers.initializers import glorot
from cnn_jax.layers.rows import Classifier, Dense, Initializer, Table
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import ImageShape, ModelSpec

# fmt: off
#              name     features
TABLE: Table = (
    Dense(     "hidden",  512),   # 784 -> 512
    Classifier("output"),
)
# fmt: on


class MLP(TableNetwork):
    """Fully connected layers on the flattened image."""

    num_classes: int = 10
    input_shape: ImageShape = (28, 28, 1)
    table: Table = TABLE
    activation: Activation = tanh
    initializer: Initializer = glorot


MODELS = {
    "mlp": ModelSpec(
        build=MLP,
        input_shape=(28, 28, 1),
        num_classes=10,
        parameters=407_050,
        macs=406_528,
        paper="Cybenko",
        year=1989,
        source="Deep Learning Basics (lecture), More Layers and Universal Approximation",
    ),
}
