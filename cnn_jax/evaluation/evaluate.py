"""``evaluate``: a network, a split and a protocol give numbers that can be trusted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.dataset import Dataset, Pictures, Split, Splits
from cnn_jax.data.datasets import open_dataset
from cnn_jax.data.preprocessing import Preprocessing
from cnn_jax.data.subsets import check_labels
from cnn_jax.errors import UserError
from cnn_jax.evaluation.as_stored import AsStored
from cnn_jax.evaluation.calibration import Calibration, calibration
from cnn_jax.evaluation.measures import (
    Mean,
    PerClass,
    Rate,
    Unknown,
    finite,
    guesses,
    likelihood,
    per_class,
    rate,
    top_k_error,
)
from cnn_jax.evaluation.network import Network
from cnn_jax.evaluation.predictions import Predictions, Setting
from cnn_jax.evaluation.progress import make_display
from cnn_jax.evaluation.protocol import Protocol, check_task, name_of, views
from cnn_jax.evaluation.protocol import protocol as protocol_named
from cnn_jax.evaluation.scoring import Speed, compile_scoring, score_pictures
from cnn_jax.registry import lookup
from cnn_jax.training.parallel import choose_devices
from cnn_jax.training.progress import Kind
from cnn_jax.types import Variables

BATCH_SIZE = 64
MISTAKES = 25
"""How many of the worst mistakes are kept."""


class Mistake(NamedTuple):
    """A wrong guess.

    Attributes:
        example: its name.
        true: class.
        guess: class.
        probability: of the guess.
        probability_of_true: of the right class.
        image: uint8 [h, w, C], as it was evaluated.
    """

    example: str
    true: str
    guess: str
    probability: float
    probability_of_true: float
    image: np.ndarray


class Evaluation(NamedTuple):
    """What came out; every example is counted once.

    Attributes:
        predictions: of each example.
        top1: error.
        top5: error, or why there is none.
        nll: negative log-likelihood in nats, or why there is none.
        calibration: or why there is none.
        per_class: in the order of the labels.
        mistakes: the most confident wrong guesses, the worst first.
        speed: of scoring; None where nothing was scored, as for an ensemble.
    """

    predictions: Predictions
    top1: Rate
    top5: Rate | Unknown
    nll: Mean | Unknown
    calibration: Calibration | Unknown
    per_class: tuple[PerClass, ...]
    mistakes: tuple[Mistake, ...]
    speed: Speed | None = None


def evaluate(
    model: Any,
    variables: Variables,
    preprocessing: Preprocessing,
    dataset: Dataset | str,
    protocol: Protocol | str = "one-crop",
    *,
    data_dir: Path | str | None = None,
    split: str = "test",
    image_size: tuple[int, int] | None = None,
    batch_size: int = BATCH_SIZE,
    devices: int | None = None,
    label: str = "network",
    progress: Kind = "auto",
) -> Evaluation:
    """Evaluate a network on one split of a dataset.

    ``one-crop`` of images that are kept at a fixed size is their centre, cut to the
    network's input, which is how a run measures its own error. All other protocols begin
    with the images at their own size where the dataset has them.

    Args:
        model: the module; its ``input_shape`` is (height, width, channels).
        variables: ``params`` and, where there is one, ``batch_stats``.
        preprocessing: what the network was trained with.
        dataset: opened, or its name.
        protocol: its name, or an object with its two functions.
        data_dir: where a dataset lies that is given by name.
        split: ``test``, ``validation`` or ``train``.
        image_size: height and width at which images are read, as a run keeps them; None
            for their own size, or for the network's where the dataset can't give it.
        batch_size: inputs of the network at once (ten crops of an image are ten); it
            changes nothing but memory and speed.
        devices: how many; None for one, or for all where several processes work together.
        label: of the network, for tables and figures.
        progress: ``auto``, ``live``, ``plain`` or ``none``.

    Raises:
        UserError: the dataset does not fit the network, has no example in this split, or
            can't be read; an unknown protocol or split, or a protocol that does not
            serve the network's task; a batch size below 1; more devices than there are.
    """
    if batch_size < 1:
        raise UserError(f"batch size is {batch_size}; at least 1 is needed")
    named, rules = _protocol(protocol)
    check_task(rules, model)
    chosen = choose_devices(devices)
    opened = _opened(dataset, data_dir)
    network = Network(model, variables, preprocessing)
    if protocol == "one-crop" and (image_size is not None or opened.pictures is None):
        rules = AsStored()
    pictures = open_pictures(opened, split, model.input_shape, image_size)
    check_fit(opened, model, pictures, split)
    display = make_display(progress)
    try:
        display.start(label, len(pictures.labels))
        scores, speed = score_pictures(
            compile_scoring(network, rules, chosen),
            lambda image: rules.resize(network, image),
            pictures,
            classes=len(opened.classes),
            batch_size=max(1, batch_size // views(rules)),
            multiple_of=chosen.count,
            display=display,
        )
    finally:
        display.close()
    setting = Setting(
        model=label,
        dataset=opened.name,
        dataset_label=opened.label,
        fingerprint=opened.fingerprint,
        split=split,
        protocol=named,
    )
    predictions = Predictions(
        scores, pictures.labels, opened.classes, pictures.names, setting
    )
    return assess(predictions, pictures.decode)._replace(speed=speed)


def assess(predictions: Predictions, image_of: Callable[[int], np.ndarray]) -> Evaluation:
    """Return all numbers of a set of predictions.

    Args:
        predictions: of one example or more.
        image_of: position -> image, for the worst mistakes.
    """
    return Evaluation(
        predictions=predictions,
        top1=rate(guesses(predictions) != predictions.labels),
        top5=top_k_error(predictions, 5),
        nll=likelihood(predictions),
        calibration=calibration(predictions),
        per_class=per_class(predictions),
        mistakes=worst_mistakes(predictions, image_of),
    )


def worst_mistakes(
    predictions: Predictions, image_of: Callable[[int], np.ndarray], count: int = MISTAKES
) -> tuple[Mistake, ...]:
    """Return the wrong guesses with the highest probability, the highest first.

    Examples with a score that is not finite have no guess, and are not among them.
    """
    guessed = guesses(predictions)
    wrong = np.flatnonzero(finite(predictions) & (guessed != predictions.labels))
    highest = predictions.log_probabilities[wrong].max(axis=-1)
    found = []
    for i in wrong[np.argsort(-highest, kind="stable")][:count]:
        true, guess = int(predictions.labels[i]), int(guessed[i])
        row = np.exp(predictions.log_probabilities[i].astype(np.float64))
        found.append(
            Mistake(
                example=predictions.examples[i],
                true=predictions.classes[true],
                guess=predictions.classes[guess],
                probability=float(row[guess]),
                probability_of_true=float(row[true]),
                image=image_of(int(i)),
            )
        )
    return tuple(found)


def open_pictures(
    dataset: Dataset,
    split: str,
    input_shape: tuple[int, int, int],
    image_size: tuple[int, int] | None = None,
) -> Pictures:
    """Return the examples of a split.

    Args:
        dataset: opened.
        split: ``test``, ``validation`` or ``train``.
        input_shape: of the network: its channels, and the size where no other is known.
        image_size: height and width; None for each image's own, or the network's.

    Raises:
        UserError: no such split, or images that can't be read.
    """
    lookup(dict.fromkeys(Splits._fields), split, what="split")
    *size, channels = input_shape
    if dataset.pictures is not None:
        return dataset.pictures(split, channels, image_size)
    height, width = image_size or size
    found: Split = getattr(dataset.read((height, width, channels)), split)
    names = tuple(f"{split}/{position}" for position in range(len(found.labels)))
    return Pictures(lambda position: found.images[position], found.labels, names)


def check_fit(dataset: Dataset, model: Any, pictures: Pictures, split: str) -> None:
    """Refuse a dataset whose classes are not the network's, or that holds no example.

    Raises:
        UserError: with both numbers of classes, or the label that is outside.
    """
    classes = len(dataset.classes)
    if model.num_classes != classes:
        raise UserError(
            f"the network has {model.num_classes} classes and {dataset.label} has {classes}"
        )
    if not len(pictures.labels):
        raise UserError(f"{dataset.label} has no example in its {split} split")
    where = f"{dataset.label}, {split}"
    check_labels(Split(np.zeros(0), pictures.labels), classes, where)


def _opened(dataset: Dataset | str, data_dir: Path | str | None) -> Dataset:
    if isinstance(dataset, Dataset):
        if data_dir is not None:
            raise ValueError("data_dir is for a dataset that is given by name")
        return dataset
    return open_dataset(dataset, None if data_dir is None else Path(data_dir))


def _protocol(protocol: Protocol | str) -> tuple[str, Protocol]:
    """Return a protocol with its name."""
    if isinstance(protocol, str):
        return protocol, protocol_named(protocol)
    return name_of(protocol), protocol
