"""A network turned into a convolution, so that it takes images of any size.

Source:
    Sermanet et al. OverFeat. ICLR 2014. Section 3.5, "ConvNets and sliding window
    efficiency". Simonyan and Zisserman 2015, Section 3.2: the first fully connected layer
    becomes a convolution whose window is the whole map (7 x 7), the others 1 x 1.
    Deep Learning Basics (lecture): scanning with a multilayer perceptron is a convolution.

The result is a map of class scores. Its cell (i, j) belongs to the window of the network's
input size whose top left pixel is (i, j) times the stride, the product of all strides. A
network that does not look at the last pixels of its window has a cell more, where only
those pixels would hang over the end of the image.

What the cell holds is what the network says of that window alone, if nothing in it depends
on where the image ends. Zeros around a map do: within a window cut out of an image, zeros
stand where the neighbouring pixels would be, and "the padding for the same crop naturally
comes from the neighbouring parts of an image" (Simonyan and Zisserman) in the whole image.
So the map of AlexNet, VGG, GoogLeNet or a ResNet is a protocol of its own and differs from
the windows; that of LeNet-5 or of a multilayer perceptron is the same. ``slides_exactly``
tells the two apart, and ``scan`` uses it.
"""

import math
from functools import lru_cache
from typing import Any

import flax.linen as nn
from jax import Array
from jaxtyping import Float

from cnn_jax.errors import UserError
from cnn_jax.layers.activations import Activation, activate, pieces_of, relu
from cnn_jax.layers.auxiliary_head import AuxiliaryHead
from cnn_jax.layers.batch_norm_conv import ConvNorm
from cnn_jax.layers.inception import Branch, DropoutRow, Fork, ModuleRow
from cnn_jax.layers.residual_network import GlobalAveragePool
from cnn_jax.layers.rows import (
    AveragePool,
    Classifier,
    Conv,
    Dense,
    LocalResponseNorm,
    MaxPool,
    SpatialPyramidPool,
)
from cnn_jax.layers.tracing import trace_output
from cnn_jax.types import Images, ImageShape, Variables

ScoreMap = Float[Array, "batch rows columns classes"]
"""Class scores at each place, larger is better."""

_WHOLE_MAP = (Dense, Classifier, GlobalAveragePool)  # rows that take all of a map at once


class ConvolutionalNetwork(nn.Module):
    """A network whose last layers slide over its last map; for evaluation only.

    Attributes:
        features: the network up to its last map; its variables are under ``features``.
        head: the rows behind that map, whose variables keep their names.
        window: height and width of that map for an image of ``input_shape``.
        input_shape: of the network.
        num_classes: outputs of the classifier row.
        activation: after every ``Dense`` row.
    """

    features: Any
    head: tuple[Any, ...]
    window: tuple[int, int]
    input_shape: ImageShape
    num_classes: int
    activation: Activation

    @nn.compact
    def __call__(self, images: Images) -> ScoreMap:
        """Return class scores at each place, [N, rows, columns, num_classes].

        Args:
            images: preprocessed, at least as large as ``input_shape``.

        Raises:
            ValueError: smaller images.
        """
        height, width, _ = self.input_shape
        if images.shape[1] < height or images.shape[2] < width:
            raise ValueError(
                f"images of {images.shape[1]} x {images.shape[2]} pixels are smaller than "
                f"the network's input of {height} x {width}"
            )
        x, window = self.features(images, train=False), self.window
        for row in self.head:
            if isinstance(row, DropoutRow):
                continue
            if isinstance(row, GlobalAveragePool):
                x = nn.avg_pool(x, window, padding="VALID")
            elif isinstance(row, Dense):
                units = row.features * pieces_of(self.activation)
                x = nn.Conv(units, window, padding="VALID", name=row.name)(x)
                x = activate(self.activation, x, name=f"{row.name}_activation")
            else:
                x = nn.Conv(self.num_classes, window, padding="VALID", name=row.name)(x)
            window = (1, 1)
        return x


def convolutional(model: Any, variables: Variables) -> tuple[Any, Variables]:
    """Return the network as a convolution, and its variables.

    No number changes: kernels of fully connected layers are reshaped, [H W C, features] to
    [H, W, C, features]. A mean over the whole map becomes one over a window of the size
    that the map has for ``input_shape``, with stride 1.

    Args:
        model: a table of rows that ends with fully connected layers, or with a mean and
            a classifier.
        variables: of it.

    Returns:
        A module, to be applied as ``module.apply(variables, images)`` to preprocessed
        images of any size from ``input_shape`` on, and its variables.

    Raises:
        UserError: the network has no table, or a layer that cannot slide; the message
            says which and why.
    """
    module = _module(model)
    names = {row.name for row in module.head}
    names |= {f"{name}_activation" for name in names}
    result: Variables = {}
    for collection, tree in variables.items():
        head = {scope: leaves for scope, leaves in tree.items() if scope in names}
        rest = {scope: leaves for scope, leaves in tree.items() if scope not in names}
        result[collection] = {"features": rest, **head}
    window = module.window
    for row in module.head:
        if isinstance(row, Dense | Classifier):
            layer = result["params"][row.name]
            kernel = layer["kernel"]
            shape = (*window, -1, kernel.shape[-1])
            result["params"][row.name] = {**layer, "kernel": kernel.reshape(shape)}
        if isinstance(row, _WHOLE_MAP):
            window = (1, 1)
    return module, result


# Tracing a deep network takes a second, and every scale of a protocol asks again.
@lru_cache(maxsize=32)
def _module(model: Any) -> ConvolutionalNetwork:
    cut = _first_of_head(model)
    features, head = model.clone(table=model.table[:cut]), model.table[cut:]
    _, height, width, _ = trace_output(features)
    return ConvolutionalNetwork(
        features=features,
        head=head,
        window=(height, width),
        input_shape=model.input_shape,
        num_classes=model.num_classes,
        activation=getattr(model, "activation", relu),
    )


def _first_of_head(model: Any) -> int:
    """Return the position of the first row that takes a whole map."""
    network = type(model).__name__
    table = getattr(model, "table", ())
    for row in table:
        if isinstance(row, SpatialPyramidPool):
            raise UserError(
                f"{network} can't be turned into a convolution: the bins of {row.name} are "
                f"fractions of the map, so they grow with the image instead of sliding"
            )
    heads = [i for i, row in enumerate(table) if isinstance(row, _WHOLE_MAP)]
    if not heads:
        raise UserError(
            f"{network} can't be turned into a convolution: it has no table of layers that "
            f"ends with a fully connected one"
        )
    for row in table[heads[0] :]:
        if not isinstance(row, (*_WHOLE_MAP, DropoutRow)):
            raise UserError(
                f"{network} can't be turned into a convolution: {row.name} "
                f"({type(row).__name__}) stands behind {table[heads[0]].name}, which takes "
                f"the whole map"
            )
    return heads[0]


def map_stride(model: Any) -> int:
    """Return the pixels between the windows of neighbouring cells of the map.

    Args:
        model: a table of rows; those behind its last map do not count. 1 if it has none.
    """
    stride = 1
    for row in getattr(model, "table", ()):
        if isinstance(row, (*_WHOLE_MAP, SpatialPyramidPool)):
            break
        stride *= _row_stride(row)
    return stride


def _row_stride(row: Any) -> int:
    if isinstance(row, AuxiliaryHead):  # beside the network
        return 1
    if isinstance(row, ModuleRow):
        return _branch_stride(row.branches[0])  # all of them end on maps of one size
    return getattr(row, "stride", 1)


def _branch_stride(branch: Branch) -> int:
    return math.prod(
        _branch_stride(step.branches[0]) if isinstance(step, Fork) else step.stride
        for step in branch
    )


def slides_exactly(model: Any) -> bool:
    """Return whether each cell of the map is what the network says of its window alone.

    True only for rows that are known to look at their window and at nothing else; a row
    that pads, that hangs over the border, or that this function does not know makes it
    False. It says nothing of a mean image, which has a place within the window too.
    """
    for row in getattr(model, "table", ()):
        match row:
            case Conv() | AveragePool():
                exact = row.padding == 0
            case MaxPool():
                exact = row.padding == 0 and not row.ceil
            case ConvNorm():
                exact = row.padding == "valid"
            case LocalResponseNorm() | DropoutRow() | AuxiliaryHead():
                exact = True
            case Dense() | Classifier() | GlobalAveragePool():
                return True
            case _:
                exact = False
        if not exact:
            return False
    return False
