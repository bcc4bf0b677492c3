"""Classifiers on the side of a network that training alone runs.

Source:
    Szegedy et al. Going Deeper with Convolutions. CVPR 2015. Section 5: their losses are
    added to the network's with a weight of 0.3; at inference time they are discarded.

A head is a row of the table. It hands on what it is given, so it stands on whatever row is
above it: when that one is removed, the head moves down to the one before. Its name, and so
its scope, begins with ``aux``; counts of parameters leave such scopes out.
"""

from dataclasses import dataclass

import flax.linen as nn

from cnn_jax.kernels.pooling import average_pool
from cnn_jax.layers.activations import activate, pieces_of
from cnn_jax.layers.batch_norm_conv import ConvStyle, batch_norm_conv
from cnn_jax.layers.checks import check_row
from cnn_jax.layers.dropout import Dropout
from cnn_jax.layers.rows import flatten
from cnn_jax.layers.tracing import is_auxiliary
from cnn_jax.types import Features, Logits


@dataclass(frozen=True)
class AuxiliaryHead:
    """Row: mean, 1 x 1 convolution, a hidden layer on all pixels, dropout, class scores.

    Attributes:
        name: begins with ``aux``.
        size: edge of the window of the mean in pixels.
        stride: of the mean in pixels.
        reduce: channels of the 1 x 1 convolution.
        features: of the hidden layer.
        window: edge of the hidden layer's kernel in pixels, not padded; 0: fully
            connected, with biases whatever the network does elsewhere.
        dropout: probability of zeroing a hidden output in training.
    """

    name: str
    size: int = 5
    stride: int = 3
    reduce: int = 128
    features: int = 1024
    window: int = 0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not is_auxiliary(self.name):
            raise ValueError(f"{self.name}: the name of an auxiliary head begins with aux")
        if not isinstance(self.window, int) or self.window < 0:
            raise ValueError(
                f"{self.name}: window = {self.window}; a whole number from 0 on is needed"
            )


class AuxiliaryClassifier(nn.Module):
    """The network of an ``AuxiliaryHead`` row.

    Attributes:
        row: its sizes.
        num_classes: outputs.
        style: of the network that it hangs on.
    """

    row: AuxiliaryHead
    num_classes: int
    style: ConvStyle

    @nn.compact
    def __call__(self, x: Features, *, train: bool) -> Logits:
        """Return class scores, [N, num_classes]; sow them as ``logits`` in training.

        They go into the collection ``aux_logits``, whose losses a step adds to the
        network's; initialisation sows nothing.

        Args:
            x: features of the network, [N, H, W, C].
            train: draw dropout masks, normalise by the batch.

        Raises:
            ValueError: the input is too small.
        """
        row, style = self.row, self.style
        check_row(row)
        x = average_pool(x, row.size, row.stride)
        x = batch_norm_conv(
            style, x, name="conv", features=row.reduce, kernel=(1, 1), train=train
        )
        if row.window:
            x = batch_norm_conv(
                style,
                x,
                name="hidden",
                features=row.features,
                kernel=(row.window, row.window),
                padding="valid",
                train=train,
            )
        else:
            x = nn.Dense(
                row.features * pieces_of(style.activation),
                kernel_init=style.initializer,
                bias_init=nn.initializers.constant(style.bias),
                name="hidden",
            )(flatten(x))
            x = activate(style.activation, x, name="hidden_activation")
        x = Dropout(row.dropout, name="dropout")(flatten(x), train=train)
        classifier = nn.Dense(
            self.num_classes, kernel_init=style.initializer, name="classifier"
        )
        logits = classifier(x)
        if train and not self.is_initializing():
            self.sow("aux_logits", "logits", logits)
        return logits
