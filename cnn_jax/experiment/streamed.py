"""A dataset whose images are decoded while the devices train on earlier ones."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.data.cropping import centre_crop
from cnn_jax.data.dataset import Dataset, Split
from cnn_jax.data.decoding import decoder
from cnn_jax.data.streaming import Batches, Decoded, Stream, open_stream
from cnn_jax.data.streaming_order import InTurn, OneAfterTheOther, TrainingSteps
from cnn_jax.data.streaming_sources import cache_splits, measure, open_splits
from cnn_jax.data.subsets import check_labels
from cnn_jax.experiment.declaration import Experiment, Where
from cnn_jax.experiment.feed import Feed, Reading, eval_rows
from cnn_jax.experiment.recipe import Facts
from cnn_jax.experiment.resident import train_data
from cnn_jax.training.hosts import all_or_none, any_process, check_same, from_first
from cnn_jax.training.parallel import Devices, fetch
from cnn_jax.training.run_directory import write_atomically
from cnn_jax.training.train_data import Rows, TrainData
from cnn_jax.types import Batch


class StreamedData:
    """A dataset, opened but not decoded, for the experiments of one image size.

    Attributes:
        dataset: the opened dataset.
        devices: to which batches go; of several processes, each decodes its own rows.
    """

    def __init__(
        self, experiment: Experiment, dataset: Dataset, devices: Devices, where: Where
    ) -> None:
        """Open the splits.

        Raises:
            UserError: labels outside the network's classes, or a subset larger than the
                training split.
        """
        self.dataset, self.devices, self._where = dataset, devices, where
        self._experiment, self._shape = experiment, experiment.image_shape
        self._splits = open_splits(dataset, self._shape, experiment.train_examples)
        for name, split in self._splits.items():
            check_labels(split, experiment.model.num_classes, f"{dataset.label}, {name}")
        self._train: TrainData | None = None
        self._cached = False

    @property
    def told(self) -> dict[str, Any]:
        """How it is read, for the record of an attempt."""
        workers = self._where.workers
        return {"stream": True, "workers": workers, "decoder": decoder()}

    @property
    def sizes(self) -> dict[str, int]:
        """Number of examples in each split."""
        return {name: len(split.labels) for name, split in self._splits.items()}

    @contextmanager
    def open(self, reading: Reading) -> Iterator[Feed]:
        """Fill the cache and measure the training images if that is to be done; then read.

        Raises:
            UserError: an image that does not decode, or no room for the cache.
        """
        check_same("the decoder of images", decoder())
        all_or_none(lambda: self._fill_cache(reading))
        if self._train is None:
            facts = self._facts(reading)
            self._train = TrainData(None, None, self.devices.place(facts))
        _store(reading.facts_file, self._train.facts)
        order = _Order(reading, self.sizes, self.devices)
        batches = Batches(
            splits=self._splits,
            shape=self._shape,
            wanted=OneAfterTheOther(order.parts),
            shard=self.devices.shard,
        )
        with open_stream(batches, self._where.workers, order.arrange) as stream:
            yield StreamedFeed(self._train, stream, order)

    def _fill_cache(self, reading: Reading) -> None:
        if self._where.cache is None or self._cached:
            return
        self._splits = cache_splits(
            self._splits,
            self._where.cache,
            self.dataset,
            self._shape,
            self._experiment.train_examples,
            self._where.workers,
            reading.told,
        )
        self._cached = True

    def _facts(self, reading: Reading) -> Facts:
        """Return what is measured of the training images, which a resumed run finds."""
        few = np.random.default_rng(0).integers(0, 256, (2, *self._shape), np.uint8)
        like = train_data(self._experiment, Split(few, np.zeros(2, np.int32))).facts
        found = _stored(reading.facts_file, like)
        if any_process(found is not None):  # the first one has the directory
            stored: Facts = from_first(like if found is None else found)
            return stored
        return all_or_none(lambda: self._measured(reading))

    def _measured(self, reading: Reading) -> Facts:
        recipe, shape = self._experiment, self._experiment.model.input_shape

        def normalization(images: Any) -> Any:
            return recipe.normalization.fit(centre_crop(images, shape))

        measurements = [normalization, *(a.fit for a in recipe.augmentation)]
        first, *others = measure(
            self._splits["train"],
            self._shape,
            measurements,
            self._where.workers,
            reading.told,
        )
        return Facts(first, tuple(others))


def _store(file: Path, facts: Facts) -> None:
    if file.exists():
        return
    leaves = {f"fact_{i}": leaf for i, leaf in enumerate(jax.tree.leaves(fetch(facts)))}
    content = io.BytesIO()
    np.savez(content, **leaves)
    write_atomically(file, content.getvalue())


def _stored(file: Path, like: Facts) -> Facts | None:
    """Return the facts in a file, None if there is none or it is of something else."""
    leaves, structure = jax.tree.flatten(like)
    try:
        with np.load(file) as arrays:
            found = [arrays[f"fact_{i}"] for i in range(len(leaves))]
    except (OSError, KeyError, ValueError):
        return None
    facts: Facts = jax.tree.unflatten(structure, found)
    return facts


class _Order:
    """The batches of one attempt: which they are, and how they go to the devices.

    As ``training.loop.fit`` and ``outcome`` ask for them: each epoch's steps, then the
    validation split; at the end all three splits.
    """

    def __init__(self, reading: Reading, sizes: dict[str, int], devices: Devices) -> None:
        self._reading, self._devices = reading, devices
        parts: list[TrainingSteps | InTurn] = []
        in_turn = {
            name: InTurn(split=name, examples=size, size=eval_rows(size, devices))
            for name, size in sizes.items()
        }
        step = reading.first_step
        for end in reading.plan.epoch_ends:
            if end > step:
                steps = TrainingSteps(
                    seed=reading.experiment.seed,
                    first=step,
                    steps=end - step,
                    batch_size=reading.experiment.batch_size,
                    pieces=reading.pieces,
                    examples=sizes["train"],
                )
                parts += [steps, in_turn["validation"]]
                step = end
        parts += [in_turn[name] for name in ("train", "validation", "test")]
        self.parts = tuple(parts)
        self.counts = {name: len(part) for name, part in in_turn.items()}

    def arrange(self, decoded: Iterator[Decoded]) -> Iterator[tuple[Any, Any]]:
        """Yield what each batch is for, and the batch on the devices."""
        for part in self.parts:
            if isinstance(part, TrainingSteps):
                yield from self._dispatches(part, decoded)
                continue
            for number, batch in enumerate(islice(decoded, len(part))):
                mask = batch.present.astype(np.float32)
                rows = Batch(np.asarray(batch.images), batch.labels, mask)  # type: ignore[arg-type]
                yield (part.split, number), self._devices.place_own_rows(rows)

    def _dispatches(
        self, steps: TrainingSteps, decoded: Iterator[Decoded]
    ) -> Iterator[tuple[Any, Any]]:
        step, end = steps.first, steps.first + steps.steps
        while step < end:
            count = self._reading.plan.dispatch(step, self._reading.per_dispatch)
            taken = [
                Rows(np.asarray(batch.images), batch.labels)
                for batch in islice(decoded, count)
            ]
            rows = taken[0] if count == 1 else jax.tree.map(_stack, *taken)
            axis = 1 if count == 1 else 2  # [steps, pieces, rows, ...]
            yield (step, count), self._devices.place_taken(rows, axis)
            step += count


def _stack(*arrays: np.ndarray) -> np.ndarray:
    return np.stack(arrays)


class StreamedFeed:
    """Hands out what the stream has decoded; see ``feed.Feed``."""

    def __init__(
        self, data: TrainData, stream: Stream[tuple[Any, Any]], order: _Order
    ) -> None:
        """Read from ``stream``."""
        self.data, self._stream, self._order = data, stream, order

    @cached_property
    def late(self) -> Any:
        """Tells whether the next batch is not there yet."""
        return self._stream.late

    def take(self, step: int, count: int) -> Any:
        """Return the ``Rows`` of the next dispatch, which must be this one."""
        return self._take((step, count))

    def batches(self, split: str) -> Iterator[Batch]:
        """Yield the next batches, which must be those of this split."""
        for number in range(self._order.counts[split]):
            yield self._take((split, number))

    def _take(self, wanted: tuple[Any, int]) -> Any:
        given, batch = self._stream.take()
        if given != wanted:
            raise RuntimeError(f"batch {wanted} was asked for, {given} is next")
        return batch
