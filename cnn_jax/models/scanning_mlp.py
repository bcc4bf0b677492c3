"""An MLP that is slid over the image: is there such an object anywhere in it?

Source:
    Deep Learning Basics (Johns Hopkins University, Computer Vision, CS 600.461/661),
    "Shift Invariance: Scanning for Patterns" and "Scanning: A Closer Look": the same small
    MLP looks at every window, its outputs are arranged as a picture, and the last layer
    looks at all of them; "We can use different MLPs (with different parameters) for every
    location. Or, we can share parameters across the spatial domain".

Departures:
    The lecture states no size, so no count is claimed: here 20 x 20 pixels of 28 x 28 (the
    box that MNIST's digits are drawn into), every second pixel, and 64 hidden units twice.
    The activation is tanh, as in ``mlp``. Two ways of looking at all windows are the
    lecture's: ``top="max"``, the most convinced window of each class decides, and
    ``top="dense"``, the last hidden layer of all windows is flattened for one classifier,
    which knows where the window was. The first layer is a convolution with the window as
    its kernel and the scan's step as its stride; the others are 1 x 1 convolutions.
"""

from functools import partial
from typing import Any, Literal, get_args

import flax.linen as nn

from cnn_jax.layers.activations import Activation, activate, tanh
from cnn_jax.layers.initializers import glorot
from cnn_jax.layers.locally_connected import LocallyConnected
from cnn_jax.layers.rows import (
    Classifier,
    Conv,
    Initializer,
    convolve,
    flatten,
)
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import Features, ImageShape, Logits, ModelSpec

Top = Literal["max", "dense"]
Table = tuple[Conv | Classifier, ...]

# fmt: off
#              name  features window step
TABLE: Table = (
    Conv(      "hidden1", 64,  20,   2),   # 28 -> 5
    Conv(      "hidden2", 64,   1),
    Classifier("output"),
)
# fmt: on


class ScanningMLP(TableNetwork):
    """The MLP of ``table`` at every place of its window.

    Attributes:
        num_classes: outputs.
        input_shape: height, width, channels.
        table: the MLP: its first layer sees the window, the others one place; then the
            classifier.
        top: how the windows are taken together.
        shared: whether all windows have the same parameters; if not, every place has an
            MLP of its own.
        activation: of the hidden layers.
        initializer: of every kernel.
    """

    num_classes: int = 10
    input_shape: ImageShape = (28, 28, 1)
    table: Table = TABLE
    top: Top = "max"
    shared: bool = True
    activation: Activation = tanh
    initializer: Initializer = glorot

    def __post_init__(self) -> None:
        """Check ``top`` when the network is described, not when it is traced.

        Raises:
            ValueError: it is not one of ``Top``.
        """
        if self.top not in get_args(Top):
            raise ValueError(f"top {self.top!r} is not one of {get_args(Top)}")
        super().__post_init__()

    def apply_row(self, row: Any, x: Features, *, train: bool) -> Features:  # noqa: ARG002
        """Apply a layer to every window, or the classifier to all windows."""
        if not isinstance(row, Conv):
            return self._classify(row, x)
        x = self._windows(row, x)
        return activate(self.activation, x, name=f"{row.name}_activation")

    def _classify(self, row: Classifier, x: Features) -> Logits:
        if self.top == "dense":
            dense = nn.Dense(self.num_classes, kernel_init=self.initializer, name=row.name)
            return dense(flatten(x))
        # One score of every class for each window; the best window speaks for the class.
        return self._windows(Conv(row.name, self.num_classes, 1), x).max((1, 2))

    def _windows(self, row: Conv, x: Features) -> Features:
        if self.shared:
            return convolve(row, x, initializer=self.initializer)
        layer = partial(LocallyConnected, kernel_init=self.initializer, name=row.name)
        return layer(row.features, row.kernel, row.stride, row.padding)(x)


MODELS = {
    "scanning_mlp": ModelSpec(
        build=ScanningMLP,
        input_shape=(28, 28, 1),
        num_classes=10,
        parameters=None,
        macs=None,
        paper="Johns Hopkins lecture",
        year=2017,
        source="Deep Learning Basics (lecture), Scanning for Patterns",
    ),
}
