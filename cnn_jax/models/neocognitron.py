"""The Neocognitron: three layers of S-cells and C-cells that organise themselves.

Source:
    Fukushima. Neocognitron: A Self-organizing Neural Network Model for a Mechanism of
    Pattern Recognition Unaffected by Shift in Position. Biological Cybernetics 36, 1980:
    the cells, their reinforcement, and the simulation (sizes, r, q; five digits, 20
    presentations each). Named in Deep Learning (lecture), "Neocognitron (Fukushima, 1980)".

Departures:
    The paper gives the numbers of cells and of their inputs. That all windows move by one
    pixel, and with it the margins (2, -1, 1, 1, 0, 0 pixels), is our reading: with the
    printed windows it is the only one that is symmetric. How the fixed connections c and d
    fall with the distance is ours too: 0.9 to the power of the distance in pixels, c with
    the sum 1, d with 1 in the middle; likewise that an S-column is one place wide, and the
    initial values, of which we know only that a is small and positive and differs from
    plane to plane, and that b is 0: here a is drawn uniformly, and a plane's sum to 0.01.
    alpha = 0.5 and the formulas of the cells are from memory, not from the paper's text.
    Each presentation changes all three layers at once.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from cnn_jax.layers.c_cells import CCells, CLayer, c_cells
from cnn_jax.layers.checks import check_images, check_names, named
from cnn_jax.layers.s_cell_learning import reinforce, representatives
from cnn_jax.layers.s_cells import SCells, SLayer, Synapses, inhibiting_cells, s_cells
from cnn_jax.types import (
    Features,
    Images,
    ImageShape,
    Labels,
    ModelSpec,
    Task,
    Variables,
)

Table = tuple[SCells | CCells, ...]

# fmt: off
#           name  planes size padding
TABLE: Table = (
    SCells("u_s1",  24,   5,  2, r=4.0, q=1.0),    # 16 x 16
    CCells("u_c1",        5, -1),                  # 10 x 10
    SCells("u_s2",  24,   5,  1, r=1.5, q=16.0),   #  8 x  8
    CCells("u_c2",        5,  1),                  #  6 x  6
    SCells("u_s3", None,  5,  0, r=1.5, q=16.0),   #  2 x  2
    CCells("u_c3",        2,  0, whole=True),      #  1 x  1
)
# fmt: on


class Neocognitron(nn.Module):
    """Detect, blur, and again; what there is to detect it learns without labels.

    Attributes:
        num_classes: cell-planes of the last stage: how many patterns it has room for.
        input_shape: height, width, channels.
        table: layers of S-cells and C-cells in turn.
    """

    task: ClassVar[Task] = "unsupervised"
    num_classes: int = 24
    input_shape: ImageShape = (16, 16, 1)
    table: Table = TABLE

    @nn.compact
    def __call__(self, images: Images, *, train: bool) -> Features:  # noqa: ARG002
        """Return the outputs of the last C-cells, [N, num_classes], each in [0, 1).

        Args:
            images: 0 (nothing) to 1 (stroke), [N, H, W, C]; no mean is subtracted.
            train: changes nothing; the network has a rule of its own, ``learn``.

        Raises:
            ValueError: the images, or what a layer makes of them, do not fit; the message
                names the layer.
        """
        check_images(images, self.input_shape)
        check_names(self.table)
        x = images
        for row in self.table:
            with named(row, x.shape):
                if isinstance(row, SCells):
                    x = SLayer(row, row.planes or self.num_classes, name=row.name)(x)
                else:
                    x = CLayer(row, name=row.name)(x)
        last = self.table[-1]
        return x[:, 0, 0] if isinstance(last, CCells) and last.whole else x

    @nn.nowrap
    def learn(
        self,
        variables: Variables,
        images: Images,
        labels: Labels | None = None,  # noqa: ARG002
        *,
        presentations: int = 1,
    ) -> Variables:
        """Return the variables after the patterns were presented, all of them in turn.

        Pure; ``jax.jit`` with ``presentations`` static compiles it.

        Args:
            variables: as ``init`` or ``learn`` returned them.
            images: the patterns, 0 to 1, [N, H, W, C].
            labels: not looked at: nobody teaches.
            presentations: of each pattern, at least 1; 20 in the paper.

        Raises:
            ValueError: images that do not fit.
        """
        check_images(images, self.input_shape)

        def present(params: Any, image: Array) -> tuple[Any, None]:
            return self._after(params, image), None

        params, _ = lax.scan(
            lambda params, _: lax.scan(present, params, jnp.asarray(images)),
            variables["params"],
            length=presentations,
        )
        return {**variables, "params": params}

    @nn.nowrap
    def _after(self, params: Any, image: Float[Array, "height width channels"]) -> Any:
        """Return the parameters after one presentation."""
        x, changed = image[None], dict(params)
        for row in self.table:
            if isinstance(row, CCells):
                x = c_cells(row, x)
                continue
            synapses = Synapses(**params[row.name])
            v_c = inhibiting_cells(row, x)
            u_s = s_cells(row, synapses, x, v_c)
            winners = representatives(u_s[0])
            after = reinforce(row, synapses, x[0], v_c[0, :, :, 0], winners)
            changed[row.name] = after._asdict()
            x = u_s
        return changed


MODELS = {
    "neocognitron": ModelSpec(
        build=Neocognitron,
        input_shape=(16, 16, 1),
        num_classes=24,
        parameters=29_472,
        macs=1_269_472,
        paper="Fukushima",
        year=1980,
        source=(
            "Neocognitron: A Self-organizing Neural Network Model for a Mechanism of "
            "Pattern Recognition Unaffected by Shift in Position, Biol. Cybernetics 36"
        ),
        task="unsupervised",
    ),
}
