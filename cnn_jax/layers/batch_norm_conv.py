"""Convolution, batch normalisation or biases, activation: the unit of the Inception family.

Source:
    Ioffe and Szegedy. Batch Normalization. ICML 2015. Section 3.2: the normalisation
    stands between the convolution and the nonlinearity, one mean and variance a feature
    map, and makes biases of the convolution useless.
"""

from dataclasses import dataclass
from typing import Literal

import flax.linen as nn

from cnn_jax.layers.activations import Activation, activate, pieces_of, relu
from cnn_jax.layers.batch_norm import BatchNorm, BatchNormalization
from cnn_jax.layers.initializers import he
from cnn_jax.layers.rows import Initializer
from cnn_jax.maths.geometry import Padding, output_size
from cnn_jax.types import Features

Border = Literal["same", "valid"]
"""``same``: zeros around the image, so that stride s gives size / s pixels, rounded up;
``valid``: no zeros."""


@dataclass(frozen=True)
class ConvNorm:
    """Row: convolution without biases, batch normalisation, activation.

    Attributes:
        name: the paper's.
        features: output channels.
        kernel: edge of the square window in pixels.
        stride: step in pixels.
        padding: zeros around the image.
    """

    name: str
    features: int
    kernel: int
    stride: int = 1
    padding: Border = "same"


@dataclass(frozen=True)
class ConvStyle:
    """What stands around every convolution of a network.

    Attributes:
        batch_norm: None for biases instead.
        bias: initial value of the biases.
        activation: after the normalisation or the biases.
        initializer: of the kernels.
    """

    batch_norm: BatchNorm | None = None
    bias: float = 0.0
    activation: Activation = relu
    initializer: Initializer = he


def same_padding(size: int, window: int, stride: int) -> Padding:
    """Return TensorFlow's padding for ceil(size / stride) windows.

    Where it is odd, the larger half comes after the image: 7 pixels, stride 2, on 224
    take 2 before and 3 after.

    Args:
        size: input length in pixels.
        window: kernel length in pixels.
        stride: step in pixels.
    """
    count = -(-size // stride)
    total = max((count - 1) * stride + window - size, 0)
    return Padding(total // 2, total - total // 2)


def border_padding(
    x: Features, kernel: tuple[int, int], stride: int, border: Border
) -> tuple[Padding, Padding]:
    """Return the padding of height and width.

    Raises:
        ValueError: no such border.
        WindowError: a ``valid`` window is larger than the image.
    """
    if border not in ("same", "valid"):
        raise ValueError(f"padding {border!r} is not one of 'same', 'valid'")
    height, width = x.shape[1:3]
    if border == "same":
        return (
            same_padding(height, kernel[0], stride),
            same_padding(width, kernel[1], stride),
        )
    for size, window in zip((height, width), kernel, strict=True):
        output_size(size, window, stride)
    return Padding(0, 0), Padding(0, 0)


def batch_norm_conv(
    style: ConvStyle,
    x: Features,
    *,
    name: str,
    features: int,
    kernel: tuple[int, int],
    stride: int = 1,
    padding: Border = "same",
    train: bool,
) -> Features:
    """Apply one unit inside a compact module: ``name``, ``name_norm``, ``name_activation``.

    Args:
        style: of the network.
        x: features, [N, H, W, C].
        name: scope of the convolution.
        features: output channels.
        kernel: height and width in pixels.
        stride: step in pixels.
        padding: zeros around the image.
        train: normalise by the batch and update the running statistics.

    Raises:
        ValueError: a count that is not a whole number from 1 on, or features that are no
            images.
        WindowError: a ``valid`` window is larger than the image.
    """
    for what, count in (
        ("features", features),
        ("stride", stride),
        ("kernel", min(kernel)),
    ):
        if not isinstance(count, int) or count < 1:
            raise ValueError(
                f"{name}: {what} = {count}; a whole number of at least 1 is needed"
            )
    if x.ndim != 4:
        raise ValueError(
            f"{name}: it slides over images [N, H, W, C]; its input has shape "
            f"{x.shape[1:]} for each image"
        )
    norm = style.batch_norm
    x = nn.Conv(
        features * pieces_of(style.activation),
        kernel,
        strides=stride,
        padding=border_padding(x, kernel, stride, padding),
        use_bias=norm is None,
        kernel_init=style.initializer,
        bias_init=nn.initializers.constant(style.bias),
        name=name,
    )(x)
    if norm is not None:
        x = BatchNormalization(norm, name=f"{name}_norm")(x, train=train)
    return activate(style.activation, x, name=f"{name}_activation")
