"""What a Neocognitron has learned: responses of its last C-cells, and a read-out.

Source: Fukushima 1980 reports that after learning each of the five training patterns
    excites one cell of the last layer, and a different one, wherever it is shown. Whether
    this holds is counted here; the read-out by the nearest neighbour is ours.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.features import features
from cnn_jax.types import Features, Images, Labels, Variables


class NeocognitronMeasure(NamedTuple):
    """The last C-cells on the patterns, and test errors of a read-out.

    Attributes:
        strongest: plane that responds most to each pattern, int [P]; -1 if none does.
        responding: planes that respond to each pattern, int [P].
        distinct: different planes among the strongest; the paper's claim is P.
        selectivity: 1 where the strongest cell of a pattern responds to no other pattern, 0
            where it responds as much to all; the mean over patterns.
        unmoved: share of the patterns, each moved by one pixel in four directions, whose
            strongest plane stays the same.
        errors: test error of the nearest neighbour, by layer.
    """

    strongest: np.ndarray
    responding: np.ndarray
    distinct: int
    selectivity: float
    unmoved: float
    errors: dict[str, float]


def neocognitron_measure(
    model: Any,
    variables: Variables,
    patterns: Images,
    train: tuple[Images, Labels],
    test: tuple[Images, Labels],
    layers: tuple[str, ...] = ("u_c2", "u_c3"),
) -> NeocognitronMeasure:
    """Measure a Neocognitron; labels are used for the read-out only.

    Args:
        model: with rows named ``layers``; its last row is the last layer of C-cells.
        variables: of the model, before or after learning.
        patterns: to which cells should respond, [P, H, W, C], P at least 2.
        train: images and labels of the neighbours.
        test: images and labels of the asked ones.
        layers: whose outputs are read out.
    """
    moved = [jnp.roll(patterns, by, (1, 2)) for by in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    parts = [jnp.asarray(patterns), *moved, train[0], test[0]]
    ends = np.cumsum([len(part) for part in parts])[[-3, -2]]
    read = (*layers, model.table[-1].name)
    *found, last = _outputs(model, read, variables, jnp.concatenate(parts))
    shown, *_ = np.split(np.asarray(last), ends)
    outputs = shown.reshape(1 + len(moved), len(patterns), -1)  # planes last
    strongest = np.where(outputs.max(-1) > 0, outputs.argmax(-1), -1)
    errors = {}
    for layer, maps in zip(layers, found, strict=True):
        _, known, asked = np.split(np.asarray(maps).reshape(len(maps), -1), ends)
        errors[layer] = nearest_neighbour_error(
            known, np.asarray(train[1]), asked, np.asarray(test[1])
        )
    heard = strongest[0] >= 0
    return NeocognitronMeasure(
        strongest=strongest[0],
        responding=(outputs[0] > 0).sum(-1),
        distinct=len(set(strongest[0][heard])),
        selectivity=_selectivity(outputs[0], strongest[0]),
        unmoved=float(((strongest[1:] == strongest[0]) & heard).mean()),
        errors=errors,
    )


@partial(jax.jit, static_argnums=(0, 1))
def _outputs(
    model: Any, layers: tuple[str, ...], variables: Variables, images: Images
) -> list[Features]:
    return [features(model, variables, images, layer) for layer in layers]


def nearest_neighbour_error(
    known: np.ndarray, known_labels: np.ndarray, asked: np.ndarray, labels: np.ndarray
) -> float:
    """Return the error of giving features the label of those at the smallest angle.

    Angles, because cells that have learned little respond weakly, not differently. An
    example to which nothing responds gets the first label.

    Args:
        known: [N, ...], with known labels.
        known_labels: int [N].
        asked: [M, ...].
        labels: int [M], the right answers.
    """
    cosines = _unit(asked) @ _unit(known).T
    guesses = known_labels[cosines.argmax(-1)]
    return float((guesses != labels).mean())


def _unit(x: np.ndarray) -> np.ndarray:
    flat = x.reshape(len(x), -1)
    return flat / np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-12)


def _selectivity(outputs: np.ndarray, strongest: np.ndarray) -> float:
    """Return the mean over patterns of 1 - (response to the others / to itself)."""
    found = []
    for pattern, plane in enumerate(strongest):
        own = outputs[pattern, plane]
        others = np.delete(outputs[:, plane], pattern).mean()
        found.append(1.0 - others / own if own > 0 else 0.0)
    return float(np.mean(found))
