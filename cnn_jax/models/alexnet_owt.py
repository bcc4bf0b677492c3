"""AlexNet in one column, as torchvision has it.

Source:
    Krizhevsky. One weird trick for parallelizing convolutional neural networks. arXiv
    1404.5997, 2014: the network whose layers are those of ``layers-imagenet-1gpu.cfg`` in
    cuda-convnet2. The table is torchvision's ``alexnet`` (0.28), whose weights it takes.

Departures:
    torchvision leaves out the local response normalisation after conv1 and conv2, and
    drops inputs of fc6 and fc7 (outputs of pool5 and fc6), not outputs of fc6 and fc7.
    Images are 224 x 224: conv1 is padded by 2 pixels, which 224 needs for 55 x 55.
    torchvision resizes the maps to 6 x 6 by adaptive means, so that it takes other images;
    for 224 x 224 that is the identity, and here it is left out.
    Weights start from He et al. 2015; torchvision draws uniformly, with a sixth of that
    variance, and gives biases such values too.
"""

from cnn_jax.layers.inception import DropoutRow, InceptionNetwork
from cnn_jax.layers.rows import Classifier, Conv, Dense, MaxPool
from cnn_jax.types import ImageShape, ModelSpec, Published

# fmt: off
TABLE = (
    #           name  features kernel stride padding
    Conv(      "conv1",   64,   11,   4,     2),    # 224 ->  55
    MaxPool(   "pool1",          3,   2),           #  55 ->  27
    Conv(      "conv2",  192,    5,   1,     2),
    MaxPool(   "pool2",          3,   2),           #  27 ->  13
    Conv(      "conv3",  384,    3,   1,     1),
    Conv(      "conv4",  256,    3,   1,     1),
    Conv(      "conv5",  256,    3,   1,     1),
    MaxPool(   "pool5",          3,   2),           #  13 ->   6
    DropoutRow("dropout5", 0.5),
    Dense(     "fc6",   4096, dropout=0.5),         # 9216 -> 4096
    Dense(     "fc7",   4096),
    Classifier("fc8"),
)
# fmt: on


class AlexNetOneWeirdTrick(InceptionNetwork):
    """Five convolutions, three fully connected layers, no groups, no normalisation."""

    num_classes: int = 1000
    input_shape: ImageShape = (224, 224, 3)
    table: tuple[Conv | MaxPool | DropoutRow | Dense | Classifier, ...] = TABLE


MODELS = {
    "alexnet_owt": ModelSpec(
        build=AlexNetOneWeirdTrick,
        input_shape=(224, 224, 3),
        num_classes=1000,
        parameters=61_100_840,
        macs=714_188_480,
        paper="Krizhevsky",
        year=2014,
        source="One weird trick for parallelizing convolutional neural networks, "
        "arXiv 1404.5997",
        published=(
            Published(
                top1=43.478,
                top5=20.934,
                protocol="ILSVRC-2012 val, 1 network, 1 crop",
                source="torchvision, AlexNet_Weights.IMAGENET1K_V1",
            ),
        ),
    ),
}
