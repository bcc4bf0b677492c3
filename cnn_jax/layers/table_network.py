"""A network that is its table: the loop over the rows of ``layers/rows.py``."""

from typing import Any

import flax.linen as nn

from cnn_jax.layers.activations import Activation, relu
from cnn_jax.layers.checks import check_images, check_names, named
from cnn_jax.layers.initializers import he
from cnn_jax.layers.rows import Initializer, apply_row
from cnn_jax.types import Features, Images, ImageShape, Logits


class TableNetwork(nn.Module):
    """A network that is its table: the rows applied one after the other.

    Attributes:
        num_classes: outputs of the classifier row.
        input_shape: height, width, channels of the images it is built for.
        table: the rows, the classifier last.
        activation: after every ``Conv`` and ``Dense`` row.
        initializer: of every kernel.
    """

    num_classes: int = 10
    input_shape: ImageShape = (32, 32, 3)
    table: tuple[Any, ...] = ()
    activation: Activation = relu
    initializer: Initializer = he

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Logits:
        """Return class scores, [N, num_classes].

        Args:
            images: preprocessed images, [N, H, W, C].
            train: draw dropout masks (random stream ``dropout``).

        Raises:
            ValueError: the images, or what a layer makes of them, do not fit; the
                message names the layer.
        """
        check_images(images, self.input_shape)
        check_names(self.table)
        x = images
        for row in self.table:
            with named(row, x.shape):
                x = self.apply_row(row, x, train=train)
        return x

    def apply_row(self, row: Any, x: Features, *, train: bool) -> Features:
        """Apply one row; networks with rows of their own extend it."""
        return apply_row(
            row,
            x,
            num_classes=self.outputs,
            activation=self.activation,
            initializer=self.initializer,
            train=train,
        )

    @property
    def outputs(self) -> int:
        """Outputs of the classifier row."""
        return self.num_classes
