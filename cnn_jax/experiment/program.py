"""The compiled program of an experiment, shared by all its seeds, and its data."""

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.augmentation import augment_batch, fit_augmentations
from cnn_jax.data.cropping import centre_crop
from cnn_jax.data.dataset import Dataset, Split, Splits
from cnn_jax.data.datasets import DATASETS, open_dataset
from cnn_jax.data.order import check_batch, steps_at_epoch
from cnn_jax.data.preprocessing import Preprocessing, apply_preprocessing, to_unit_range
from cnn_jax.data.subsets import check_labels, subset
from cnn_jax.errors import UserError
from cnn_jax.experiment.declaration import Experiment, Where
from cnn_jax.registry import lookup
from cnn_jax.training.loop import CompiledSteps, Plan
from cnn_jax.training.metrics import Summary, merge, summarize, zero_metrics
from cnn_jax.training.parallel import compile_step, place, steps_per_dispatch
from cnn_jax.training.state import TrainState, init_state
from cnn_jax.training.steps import (
    EvalStep,
    TrainData,
    TrainStep,
    make_eval_step,
    make_train_step,
    several_steps,
)
from cnn_jax.types import Batch, Images, Key, Pixels

EVAL_BATCH = 500


class Facts(NamedTuple):
    """What was learned from the training images before training.

    Attributes:
        preprocessing: mean and deviation.
        augmentation: one tree of arrays for each augmentation.
    """

    preprocessing: Preprocessing
    augmentation: tuple[Any, ...]


class PlacedData(NamedTuple):
    """A dataset on the device, ready for the steps of an experiment."""

    dataset: Dataset
    train: TrainData
    train_batches: tuple[Batch, ...]
    validation_batches: tuple[Batch, ...]
    test_batches: tuple[Batch, ...]
    sizes: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Program:
    """The compiled functions of one experiment; the seed is an argument.

    Attributes:
        init: seed -> state before the first step.
        steps: the training steps.
        evaluate: one padded batch.
        plan: steps of each epoch.
        schedule: step -> learning rate.
    """

    init: Any
    steps: CompiledSteps
    evaluate: EvalStep
    plan: Plan
    schedule: Any


def pure_steps(
    experiment: Experiment, examples: int
) -> tuple[Any, TrainStep, EvalStep, Any]:
    """Return (optimizer, training step, evaluation step, schedule), not compiled.

    Args:
        experiment: its seed is not used.
        examples: size of the training split, which gives epochs their length.
    """
    shape = experiment.model.input_shape
    schedule = experiment.schedule.build(examples / experiment.batch_size)
    optimizer = experiment.optimizer.build(schedule)

    def prepare(key: Key, pixels: Pixels, facts: Facts) -> Images:
        images = to_unit_range(pixels)
        images = augment_batch(experiment.augmentation, facts.augmentation, key, images)
        return apply_preprocessing(facts.preprocessing, centre_crop(images, shape))

    def normalize(pixels: Pixels, facts: Facts) -> Images:
        return apply_preprocessing(facts.preprocessing, centre_crop(pixels, shape))

    train_step = make_train_step(
        experiment.model,
        experiment.loss,
        optimizer,
        prepare,
        auxiliary_weight=experiment.auxiliary_weight,
    )
    eval_step = make_eval_step(experiment.model, experiment.loss, normalize)
    return optimizer, train_step, eval_step, schedule


def compile_program(experiment: Experiment, examples: int) -> Program:
    """Return the program of an experiment; XLA compiles when it is first called.

    Args:
        experiment: its seed is not used.
        examples: size of the training split.

    Raises:
        UserError: the batch is larger than the training split.
    """
    check_batch(experiment.batch_size, examples)
    optimizer, train_step, eval_step, schedule = pure_steps(experiment, examples)
    ends = {
        steps_at_epoch(epoch, experiment.batch_size, examples)
        for epoch in (*range(1, math.floor(experiment.epochs) + 1), experiment.epochs)
    }
    return Program(
        init=compile_step(
            lambda seed: init_state(experiment.model, optimizer, seed), donate=False
        ),
        steps=CompiledSteps(
            one=compile_step(train_step, donate=True),
            several=compile_step(several_steps(train_step), donate=True),
            per_dispatch=steps_per_dispatch(),
        ),
        evaluate=compile_step(eval_step, donate=False),
        plan=Plan(
            epoch_ends=tuple(sorted(ends)),
            batch_size=experiment.batch_size,
            examples=examples,
        ),
        schedule=schedule,
    )


def place_data(experiment: Experiment, dataset: Dataset) -> PlacedData:
    """Decode the dataset for the experiment's network and put it on the device.

    Raises:
        UserError: an image that does not decode, labels outside the network's classes, or
            a subset larger than the training split.
    """
    splits = subset(dataset.read(experiment.image_shape), experiment.train_examples)
    for name, split in zip(Splits._fields, splits, strict=True):
        check_labels(split, experiment.model.num_classes, f"{dataset.label}, {name}")
    return PlacedData(
        dataset=dataset,
        train=place(_train_data(experiment, splits.train)),
        train_batches=_batches(splits.train),
        validation_batches=_batches(splits.validation),
        test_batches=_batches(splits.test),
        sizes={n: len(s.labels) for n, s in zip(Splits._fields, splits, strict=True)},
    )


def _train_data(experiment: Experiment, train: Split) -> TrainData:
    images: Any = train.images
    labels: Any = train.labels
    facts = Facts(
        experiment.normalization.fit(centre_crop(images, experiment.model.input_shape)),
        fit_augmentations(experiment.augmentation, images),
    )
    return TrainData(images, labels, facts)


def _batches(split: Split) -> tuple[Batch, ...]:
    """Cut a split into batches of one size; the last one is padded and masked."""
    count = len(split.labels)
    size = min(EVAL_BATCH, count)
    batches = []
    for start in range(0, count, size):
        rows = [part[start : start + size] for part in split]
        rows.append(np.ones(len(rows[0]), np.float32))  # the mask
        missing = (0, size - len(rows[0]))
        padded: list[Any] = [np.pad(r, [missing] + [(0, 0)] * (r.ndim - 1)) for r in rows]
        batches.append(Batch(*padded))
    return tuple(place(batches))


def evaluate_split(
    program: Program, state: TrainState, batches: tuple[Batch, ...], facts: Any
) -> Summary:
    """Return loss and error over all examples of a split, each counted once."""
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    total = zero_metrics()
    for batch in batches:
        total = merge(total, program.evaluate(variables, batch, facts))
    return summarize(total)


class Workbench:
    """Keeps what several runs share: the opened dataset, its arrays, the last program."""

    def __init__(self, where: Where) -> None:
        """Open nothing yet."""
        self.where = where
        self._datasets: dict[str, Dataset] = {}
        self._placed: tuple[Any, PlacedData] | None = None
        self._program: tuple[Experiment, Program] | None = None

    def dataset(self, name: str) -> Dataset:
        """Return the opened dataset."""
        if name not in self._datasets:
            with self._reading():
                self._datasets[name] = open_dataset(name, self.where.data_dir)
        return self._datasets[name]

    def data(self, experiment: Experiment) -> PlacedData:
        """Return the experiment's data on the device."""
        key = (
            experiment.dataset,
            experiment.image_shape,
            experiment.model.input_shape,
            experiment.model.num_classes,
            experiment.train_examples,
            experiment.normalization,
            experiment.augmentation,
        )
        if self._placed is None or self._placed[0] != key:
            self._placed = None  # frees the old arrays first
            dataset = self.dataset(experiment.dataset)
            with self._reading():
                self._placed = (key, place_data(experiment, dataset))
        return self._placed[1]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = error.filename or self.where.data_dir
            raise UserError(f"cannot read {place}: {error.strerror or error}") from error

    def program(self, experiment: Experiment) -> Program:
        """Return the experiment's program; all its seeds share one."""
        key = dataclasses.replace(experiment, seed=0)
        if self._program is None or self._program[0] != key:
            examples = self.data(experiment).sizes["train"]
            self._program = (key, compile_program(experiment, examples))
        return self._program[1]


def trace_experiment(experiment: Experiment) -> TrainState:
    """Return the shapes of the state after one step, found without data or compilation.

    Raises:
        UserError: the dataset is not known.
        ValueError: the recipe does not fit the network or the dataset's images.
    """
    info = lookup(DATASETS, experiment.dataset, what="dataset")
    height, width, channels = experiment.image_shape
    if info.channels != channels:
        raise UserError(
            f"{experiment.dataset} has {info.channels} channels, "
            f"the network takes {channels}"
        )
    rng = np.random.default_rng(0)
    size = (8, height, width, channels)
    few = Split(rng.integers(0, 256, size, np.uint8), np.zeros(8, np.int32))
    data = _train_data(experiment, few)
    optimizer, train_step, _, _ = pure_steps(experiment, 8 * experiment.batch_size)

    def one_step(seed: jax.Array, data: TrainData, positions: jax.Array) -> TrainState:
        state = init_state(experiment.model, optimizer, seed)
        return train_step(state, data, positions)[0]

    return jax.eval_shape(
        one_step,
        jax.ShapeDtypeStruct((), jnp.uint32),
        data,
        jax.ShapeDtypeStruct((experiment.batch_size,), jnp.int32),
    )
