"""Stochastic depth: in training, a residual block is left out by chance.

Huang, Sun, Liu, Sedra and Weinberger. Deep Networks with Stochastic Depth. ECCV 2016,
Section 3, equations 2, 4 and 5. With b_l = 1 for a block that takes part in the step::

    H_l = ReLU(b_l f_l(H_{l-1}) + id(H_{l-1})),  P(b_l = 1) = p_l      training
    H_l = ReLU(p_l f_l(H_{l-1}) + id(H_{l-1}))                         evaluation
"""

import jax
import jax.numpy as jnp
from jax import Array

from cnn_jax.types import Key


def survival_probability(block: int, blocks: int, last: float) -> float:
    """Return p_l = 1 - (l / L) (1 - p_L): equation 4, linear decay over the depth.

    Args:
        block: l, counted from 1.
        blocks: L.
        last: p_L, the survival probability of the last block.

    Raises:
        ValueError: ``block`` is not in 1 ... ``blocks``, or ``last`` not in (0, 1].
    """
    if not 1 <= block <= blocks:
        raise ValueError(f"block {block} is not in 1 ... {blocks}")
    check_survival(last)
    return 1.0 - block / blocks * (1.0 - last)


def check_survival(survival: float) -> None:
    """Raise ``ValueError`` unless ``survival`` is a probability above 0."""
    if not 0.0 < survival <= 1.0:
        raise ValueError(f"survival {survival} is not in (0, 1]")


def branch_weight(key: Key, survival: float) -> Array:
    """Draw b: 1.0 with probability ``survival``, else 0.0; float32, shape ().

    One draw serves the whole batch, as in the paper (Section 3, "Stochastic depth"): it
    has no row to be keyed by, and every device draws the same from the same key.
    """
    return jax.random.bernoulli(key, survival).astype(jnp.float32)
