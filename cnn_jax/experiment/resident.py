"""A dataset whose decoded images all lie on the devices."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.augmentation import fit_augmentations
from cnn_jax.data.cropping import centre_crop
from cnn_jax.data.dataset import Dataset, Split, Splits
from cnn_jax.data.decoding import decoder
from cnn_jax.data.order import batch_positions
from cnn_jax.data.subsets import check_labels, subset
from cnn_jax.experiment.declaration import Experiment
from cnn_jax.experiment.feed import Feed, Reading, eval_rows
from cnn_jax.experiment.recipe import Facts
from cnn_jax.training.parallel import Devices
from cnn_jax.training.train_data import TrainData
from cnn_jax.types import Batch


class PlacedData(NamedTuple):
    """A dataset on the device, ready for the steps of an experiment."""

    dataset: Dataset
    train: TrainData
    train_batches: tuple[Batch, ...]
    validation_batches: tuple[Batch, ...]
    test_batches: tuple[Batch, ...]
    sizes: dict[str, int]
    devices: Devices

    @property
    def told(self) -> dict[str, Any]:
        """How it is read, for the record of an attempt."""
        return {"stream": False, "decoder": decoder()}

    @contextmanager
    def open(self, reading: Reading) -> Iterator[Feed]:
        """Begin to read."""
        yield ResidentFeed(self, reading)


@dataclass(frozen=True)
class ResidentFeed:
    """Hands out positions in what lies on the devices; see ``feed.Feed``."""

    _placed: PlacedData
    _reading: Reading

    late = None

    @property
    def data(self) -> TrainData:
        """All training examples."""
        return self._placed.train

    def take(self, step: int, count: int) -> Any:
        """Return positions [pieces, rows], of several steps stacked."""
        positions = [self._positions(step + i) for i in range(count)]
        taken = positions[0] if count == 1 else np.stack(positions)
        return self._placed.devices.place_positions(taken)

    def _positions(self, step: int) -> np.ndarray:
        experiment, examples = self._reading.experiment, self._placed.sizes["train"]
        size = experiment.batch_size
        taken = batch_positions(experiment.seed, step, size, examples)
        return taken.reshape(self._reading.pieces, -1)

    def batches(self, split: str) -> tuple[Batch, ...]:
        """Return a split's padded batches."""
        batches: tuple[Batch, ...] = getattr(self._placed, f"{split}_batches")
        return batches


def place_data(experiment: Experiment, dataset: Dataset, devices: Devices) -> PlacedData:
    """Decode the dataset for the experiment's network and put it on the devices.

    Raises:
        UserError: an image that does not decode, labels outside the network's classes, or
            a subset larger than the training split.
    """
    splits = subset(dataset.read(experiment.image_shape), experiment.train_examples)
    for name, split in zip(Splits._fields, splits, strict=True):
        check_labels(split, experiment.model.num_classes, f"{dataset.label}, {name}")
    return PlacedData(
        dataset=dataset,
        train=devices.place(train_data(experiment, splits.train)),
        train_batches=_batches(splits.train, devices),
        validation_batches=_batches(splits.validation, devices),
        test_batches=_batches(splits.test, devices),
        sizes={n: len(s.labels) for n, s in zip(Splits._fields, splits, strict=True)},
        devices=devices,
    )


def train_data(experiment: Experiment, train: Split) -> TrainData:
    """Return the training split with what the experiment measures of it."""
    images: Any = train.images
    labels: Any = train.labels
    facts = Facts(
        experiment.normalization.fit(centre_crop(images, experiment.model.input_shape)),
        fit_augmentations(experiment.augmentation, images),
    )
    return TrainData(images, labels, facts)


def _batches(split: Split, devices: Devices) -> tuple[Batch, ...]:
    """Cut a split into batches of one size; the last one is padded and masked."""
    count = len(split.labels)
    size = eval_rows(count, devices)
    batches = []
    for start in range(0, count, size):
        rows = [part[start : start + size] for part in split]
        rows.append(np.ones(len(rows[0]), np.float32))  # the mask
        missing = (0, size - len(rows[0]))
        padded: list[Any] = [np.pad(r, [missing] + [(0, 0)] * (r.ndim - 1)) for r in rows]
        batches.append(Batch(*padded))
    return tuple(devices.place_rows(batches))
