"""The perceptron: one threshold unit a class on the pixels, with its own learning rule.

Source:
    Rosenblatt. The Perceptron: A Probabilistic Model for Information Storage and
    Organization in the Brain. Psychological Review 65(6), 1958. The form is that of Deep
    Learning Basics (Johns Hopkins University), "The Perceptron": f(x) = 1 if w x + b > 0,
    else 0. Minsky and Papert, Perceptrons, 1969: no choice of w and b gives XOR. Novikoff,
    On Convergence Proofs on Perceptrons, 1962: on separable examples the rule makes at most
    (R / gamma)^2 mistakes.

Departures:
    Rosenblatt's random association units are left out, as in the lecture: the units see
    the pixels. The lecture states no size: here 28 x 28 grey pixels and ten classes. With
    several classes the largest w x + b decides, and the rule is Kesler's construction (Duda
    and Hart, Pattern Classification and Scene Analysis, 1973, Section 5.12): of a wrong
    guess the unit of the right class gets the example added, that of the guess gets it
    subtracted. Two classes are the lecture's one unit, w = w_1 - w_0 and b = b_1 - b_0; a
    tie is class 0 there too. Weights start from 0, from where the bound holds.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Int

from cnn_jax.layers.activations import Activation, identity
from cnn_jax.layers.checks import check_images
from cnn_jax.layers.rows import Classifier, Initializer, Table, flatten
from cnn_jax.layers.table_network import TableNetwork
from cnn_jax.types import Features, Images, ImageShape, Key, Labels, ModelSpec, Variables

TABLE: Table = (Classifier("output"),)


def step(x: Features) -> Features:
    """Return 1 where x > 0, else 0: the output of the lecture's unit."""
    return (x > 0).astype(x.dtype)


def from_zero(key: Key, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:  # noqa: ARG001
    """Return zeros: the start for which the bound on the mistakes is proved."""
    return jnp.zeros(tuple(shape), dtype)


class Perceptron(TableNetwork):
    """One linear unit a class; the largest output decides."""

    num_classes: int = 10
    input_shape: ImageShape = (28, 28, 1)
    table: Table = TABLE
    activation: Activation = identity
    initializer: Initializer = from_zero

    @nn.nowrap
    def learn(
        self, variables: Variables, images: Images, labels: Labels, *, passes: int = 1
    ) -> Variables:
        """Return the variables after ``passes`` over the examples, in the order given.

        Pure; ``jax.jit`` with ``passes`` static compiles it.

        Args:
            variables: as ``init`` or ``learn`` returned them.
            images: preprocessed, [N, H, W, C].
            labels: int [N].
            passes: over all examples, at least 1.

        Raises:
            ValueError: images that do not fit, or a table with hidden layers.
        """
        return self.learn_and_count(variables, images, labels, passes=passes)[0]

    @nn.nowrap
    def learn_and_count(
        self, variables: Variables, images: Images, labels: Labels, *, passes: int = 1
    ) -> tuple[Variables, Int[Array, " passes"]]:
        """Return what ``learn`` does, and the number of mistakes in each pass.

        A pass without a mistake changes nothing: every example is right.

        Raises:
            ValueError: images that do not fit, or a table with hidden layers.
        """
        check_images(images, self.input_shape)
        if len(self.table) != 1:
            names = ", ".join(row.name for row in self.table)
            raise ValueError(f"the rule is for one layer of units; the table has {names}")
        name = self.table[0].name
        examples = (flatten(images), jnp.asarray(labels, jnp.int32))
        params, mistakes = lax.scan(
            lambda params, _: _one_pass(params, *examples),
            variables["params"][name],
            length=passes,
        )
        return {**variables, "params": {name: params}}, mistakes


def _one_pass(
    params: dict[str, Array], x: Float[Array, "examples inputs"], labels: Labels
) -> tuple[dict[str, Array], Array]:
    def present(
        params: dict[str, Array], example: tuple[Array, Array]
    ) -> tuple[dict[str, Array], Array]:
        x, label = example
        kernel, bias = params["kernel"], params["bias"]
        guess = jnp.argmax(x @ kernel + bias)  # the first of equal ones
        # +1 for the right class, -1 for the guess; 0 everywhere if they agree.
        towards = jax.nn.one_hot(label, bias.size) - jax.nn.one_hot(guess, bias.size)
        changed = {"kernel": kernel + jnp.outer(x, towards), "bias": bias + towards}
        return changed, guess != label

    params, wrong = lax.scan(present, params, (x, labels))
    return params, jnp.sum(wrong.astype(jnp.int32))


MODELS = {
    "perceptron": ModelSpec(
        build=Perceptron,
        input_shape=(28, 28, 1),
        num_classes=10,
        parameters=7_850,
        macs=7_840,
        paper="Rosenblatt",
        year=1958,
        source=(
            "The Perceptron: A Probabilistic Model for Information Storage and "
            "Organization in the Brain, Psychological Review 65(6), in the form of Deep "
            "Learning Basics (lecture), The Perceptron"
        ),
    ),
}
