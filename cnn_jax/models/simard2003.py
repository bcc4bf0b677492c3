"""The convolutional network of Simard, Steinkraus and Platt: 132,540 parameters.

Source:
    Simard, Steinkraus and Platt. Best Practices for Convolutional Neural Networks Applied
    to Visual Document Analysis. ICDAR 2003. Section 3 (5 and 50 maps of 5 x 5 kernels with
    stride 2, "no spatial pooling", on 29 x 29 images; 100 hidden units; 10 outputs).

Departures:
    The activation is the scaled tanh of LeCun et al. 1998 and weights start from that
    paper's +-2.4 / F: ours, for want of a statement. The output is linear scores, for the
    cross-entropy of a softmax. From memory: the errors of Table 1.
"""

from cnn_jax.layers.activations import Activation, scaled_tanh
from cnn_jax.layers.initializers import lecun_uniform
from cnn_jax.layers.rows import Classifier, Conv, Dense, Initializer, Table
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import ImageShape, ModelSpec, Published

# fmt: off
#               name  features kernel stride
TABLE: Table = (
    Conv(      "conv1",     5,    5,    2),   # 29 -> 13
    Conv(      "conv2",    50,    5,    2),   # 13 ->  5
    Dense(     "fc1",     100),               # 1250 -> 100
    Classifier("output"),
)
# fmt: on


class Simard2003(TableNetwork):
    """Two convolutions with stride 2, two fully connected layers."""

    num_classes: int = 10
    input_shape: ImageShape = (29, 29, 1)
    table: Table = TABLE
    activation: Activation = scaled_tanh
    initializer: Initializer = lecun_uniform


MODELS = {
    "simard2003": ModelSpec(
        build=Simard2003,
        input_shape=(29, 29, 1),
        num_classes=10,
        parameters=132_540,
        macs=303_375,
        paper="Simard et al.",
        year=2003,
        source=(
            "Best Practices for Convolutional Neural Networks Applied to Visual Document "
            "Analysis, ICDAR 2003, Section 3"
        ),
        published=(
            Published(
                top1=0.4,
                protocol="MNIST test, 1 network, elastic distortions, cross-entropy",
                source="Simard et al. 2003, Table 1",
            ),
            Published(
                top1=0.6,
                protocol="MNIST test, 1 network, affine distortions, cross-entropy",
                source="Simard et al. 2003, Table 1",
            ),
        ),
    ),
}
