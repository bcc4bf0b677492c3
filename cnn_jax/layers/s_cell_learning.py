"""How S-cells learn without labels: the strongest cells take on what they see.

Source: Fukushima. Neocognitron. Biological Cybernetics 36, 1980, Section 4, equations 7
    and 8.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Bool, Float, Int

from cnn_jax.layers.s_cells import SCells, Synapses, inhibiting_weights


class Representatives(NamedTuple):
    """The cell of each plane that is reinforced.

    Attributes:
        rows: its place, int [planes].
        columns: its place, int [planes].
        chosen: whether the plane has one at all, bool [planes].
    """

    rows: Int[Array, " planes"]
    columns: Int[Array, " planes"]
    chosen: Bool[Array, " planes"]


def representatives(u_s: Float[Array, "rows columns planes"]) -> Representatives:
    """Choose the cells that learn from one pattern.

    Of the cells of an S-column (all planes, one place) the one with the largest output is a
    candidate; of the candidates in one plane the one with the largest output is its
    representative. A plane without a candidate has none, and a cell without output is no
    candidate. Of equal cells the first plane's, then the first place's wins.

    Args:
        u_s: outputs for one pattern.
    """
    _, columns, planes = u_s.shape
    strongest = jax.nn.one_hot(u_s.argmax(-1), planes, dtype=bool)
    outputs = jnp.where(strongest, u_s, 0.0).reshape(-1, planes)
    place = outputs.argmax(0)
    return Representatives(place // columns, place % columns, outputs.max(0) > 0)


def reinforce(
    row: SCells,
    synapses: Synapses,
    u_c: Float[Array, "height width before"],
    v_c: Float[Array, "rows columns"],
    winners: Representatives,
) -> Synapses:
    """Return the synapses after one pattern: da = q c u_C and db = (q / 2) v_C.

    Args:
        row: sizes, padding and q.
        synapses: before.
        u_c: what the layer saw of the pattern.
        v_c: its inhibiting cells.
        winners: whose inputs the planes learn.
    """
    before = u_c.shape[-1]
    sides = (row.padding, row.padding)
    padded = jnp.pad(u_c, (sides, sides, (0, 0)))
    window = (row.size, row.size, before)
    seen = jax.vmap(lambda i, j: lax.dynamic_slice(padded, (i, j, 0), window))(
        winners.rows, winners.columns
    )
    learns = row.q * winners.chosen.astype(u_c.dtype)
    more = jnp.einsum("kxyc,xyc,k->xyck", seen, inhibiting_weights(row, before), learns)
    strength = learns / 2 * v_c[winners.rows, winners.columns]
    return Synapses(synapses.excitatory + more, synapses.inhibitory + strength)
