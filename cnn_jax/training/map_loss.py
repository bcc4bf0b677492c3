"""The discriminative loss of LeNet-5: a class that is right, the others, and rubbish.

Source:
    LeCun, Bottou, Bengio and Haffner. Gradient-Based Learning Applied to Document
    Recognition. Proceedings of the IEEE 86(11), 1998. Section II.C, equation 9, "maximum a
    posteriori (MAP)": E = y_label + log(exp(-j) + sum over i of exp(-y_i)), with y_i the
    penalty of class i and j that of a rubbish class to which all the rest belongs.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cnn_jax.types import Labels, Logits


@dataclass(frozen=True)
class MaximumAPosteriori:
    """-log of the label's posterior, of the classes and of rubbish; in nats.

    With scores -y it is the cross-entropy of a softmax that has one more class, whose
    score is always -j: a penalty is pulled down until it is well below j, and is pushed up
    no more once it is well above.

    Attributes:
        rubbish: j, the penalty of the rubbish class; positive. The paper gives no value.
    """

    rubbish: float

    def __post_init__(self) -> None:
        if not 0.0 < self.rubbish < math.inf:
            raise ValueError(f"rubbish {self.rubbish} is not a positive number")

    def __call__(self, logits: Logits, labels: Labels) -> Float[Array, " batch"]:
        """Return the loss of each example.

        Args:
            logits: minus the penalties, [N, K].
            labels: [N].
        """
        scores = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        right = jnp.take_along_axis(scores, labels[:, None], axis=-1)[:, 0]
        with_rubbish = jnp.pad(scores, ((0, 0), (0, 1)), constant_values=-self.rubbish)
        return jax.nn.logsumexp(with_rubbish, axis=-1) - right
