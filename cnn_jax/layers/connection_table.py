"""Convolution in which an output map sees some of the input maps only.

Source:
    LeCun, Bottou, Bengio and Haffner. Gradient-Based Learning Applied to Document
    Recognition. Proceedings of the IEEE 86(11), 1998. Table I: a row an input map, a column
    an output map, an X where they are connected. LeCun et al., Backpropagation Applied to
    Handwritten Zip Code Recognition, Neural Computation 1, 1989: likewise, with a bias for
    every unit instead of one a map, and a constant background around the maps.

There is one kernel a connection and nothing else. It is computed as one convolution with
zeros where there is no connection: for LeNet-5 on two cores that takes as long as if all
maps were connected, and several times less than a convolution for each output map.
"""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnn_jax.layers.initializers import lecun_uniform
from cnn_jax.maths.geometry import output_size
from cnn_jax.types import Features, Key

Connections = tuple[str, ...]
"""A row of text an input map, a column an output map; ``X`` joins them, a space not."""


@dataclass(frozen=True)
class TableConv:
    """Convolution along a table of connections, bias, activation.

    Attributes:
        name: the paper's.
        connections: which output map sees which input map.
        kernel: edge of the square window in pixels.
        stride: step in pixels.
        padding: pixels of background on each side.
        background: value of the padding.
        bias_per_unit: a bias for every unit instead of one a map.
    """

    name: str
    connections: Connections
    kernel: int
    stride: int = 1
    padding: int = 0
    background: float = 0.0
    bias_per_unit: bool = False


class ConnectionTableConv(nn.Module):
    """The convolution of a ``TableConv``, without its activation.

    Parameters: ``kernel`` [kernel, kernel, connections], those of the first output map
    first and each one's in the order of the input maps; ``bias`` [outputs], or [rows,
    columns, outputs].

    Attributes:
        row: the description.
        kernel_init: of the output maps that see ``inputs`` maps each, [kernel, kernel,
            inputs, maps]: its fan-in is that of a unit.
        bias_init: initial biases.
    """

    row: TableConv
    kernel_init: nn.initializers.Initializer = lecun_uniform
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Features) -> Features:
        """Return [N, rows, columns, outputs].

        Args:
            x: maps, [N, H, W, inputs].

        Raises:
            ValueError: a table that is none, or is not made for so many maps.
            WindowError: the window is larger than the padded input.
        """
        row = self.row
        joined = connected(row.connections)
        if x.ndim != 4 or x.shape[3] != len(joined):
            raise ValueError(
                f"{row.name}: its table connects {len(joined)} input maps; its input has "
                f"shape {x.shape[1:]}, [H, W, {len(joined)}] is needed"
            )
        places = tuple(
            output_size(edge, row.kernel, row.stride, row.padding) for edge in x.shape[1:3]
        )
        outputs = joined.shape[1]

        def kernels(key: Key) -> Array:
            return _draw(self.kernel_init, key, row.kernel, joined.sum(0))

        kernel = self.param("kernel", kernels)
        by = (*places, outputs) if row.bias_per_unit else (outputs,)
        bias = self.param("bias", self.bias_init, by)
        sides = (row.padding, row.padding)
        padded = jnp.pad(x, ((0, 0), sides, sides, (0, 0)), constant_values=row.background)
        y = lax.conv_general_dilated(
            padded,
            with_zeros(kernel, joined),
            (row.stride, row.stride),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return y + bias.reshape((1,) * (4 - bias.ndim) + bias.shape)

    def multiply_adds(self, output_shape: tuple[int, ...]) -> int:
        """Return the multiply-adds behind an output [N, rows, columns, outputs]."""
        batch, rows, columns, _ = output_shape
        return batch * rows * columns * int(self.variables["params"]["kernel"].size)


def connected(connections: Connections) -> np.ndarray:
    """Return the table as bool [inputs, outputs].

    Raises:
        ValueError: rows of different lengths, signs other than ``X`` and space, or a map
            without any connection.
    """
    table = np.array([list(row) for row in connections if row], dtype=object)
    if table.ndim != 2 or len(table) != len(connections):
        raise ValueError(f"connections {connections}: rows of one length are needed")
    if not np.isin(table, ("X", " ")).all():
        raise ValueError(f"connections {connections}: only X and space are allowed")
    joined: np.ndarray = table == "X"
    if not (joined.any(0).all() and joined.any(1).all()):
        raise ValueError(f"connections {connections}: a map has no connection")
    return joined


def _draw(
    initializer: nn.initializers.Initializer, key: Key, size: int, inputs: np.ndarray
) -> Array:
    """Draw [size, size, connections]; output map o has ``inputs[o]`` of them."""
    drawn, owners = [], []
    for count in np.unique(inputs):  # the outputs of one fan-in together
        key, now = jax.random.split(key)
        (outputs,) = np.nonzero(inputs == count)
        shape = (size, size, int(count), len(outputs))
        some = jnp.asarray(initializer(now, shape, jnp.float32))
        drawn.append(some.swapaxes(2, 3).reshape(size, size, -1))
        owners.append(np.repeat(outputs, count))
    order = np.argsort(np.concatenate(owners), kind="stable")
    return jnp.concatenate(drawn, axis=-1)[..., order]


def with_zeros(kernel: Array, joined: np.ndarray) -> Array:
    """Return the kernels in their places, [h, w, inputs, outputs], zeros elsewhere.

    Args:
        kernel: one for each connection, [h, w, connections].
        joined: bool [inputs, outputs].
    """
    # A product with ones and zeros is exact, and its transpose gathers the gradient; beside
    # the convolution it costs nothing that could be measured.
    outputs, inputs = np.nonzero(joined.T)
    place = np.zeros((len(inputs), *joined.shape), np.float32)
    place[np.arange(len(inputs)), inputs, outputs] = 1.0
    spread = jnp.asarray(place, kernel.dtype).reshape(len(inputs), -1)
    dense = jnp.matmul(kernel, spread, precision="highest")
    return dense.reshape(*kernel.shape[:2], *joined.shape)
