"""The compiled program of an experiment, shared by all its seeds, and its data."""

import dataclasses
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data.dataset import Dataset, Split
from cnn_jax.data.datasets import describe_dataset, open_dataset
from cnn_jax.data.order import check_batch, steps_at_epoch
from cnn_jax.data.streaming_sources import fits
from cnn_jax.errors import UserError
from cnn_jax.experiment.declaration import Experiment, Where
from cnn_jax.experiment.feed import Data
from cnn_jax.experiment.recipe import pure_steps
from cnn_jax.experiment.resident import place_data, train_data
from cnn_jax.experiment.streamed import StreamedData
from cnn_jax.training.interruption import Interruption, StopConditions
from cnn_jax.training.loop import CompiledSteps, Plan
from cnn_jax.training.metrics import Summary, merge, summarize
from cnn_jax.training.parallel import Devices, choose_devices, fetch, steps_per_dispatch
from cnn_jax.training.state import TrainState, evaluated_variables
from cnn_jax.training.steps import EvalStep, several_steps
from cnn_jax.training.train_data import TrainData
from cnn_jax.types import Batch


@dataclass(frozen=True, kw_only=True)
class Program:
    """The compiled functions of one experiment; the seed is an argument.

    Attributes:
        init: (seed, given variables) -> state before the first step.
        steps: the training steps.
        evaluate: one padded batch.
        plan: steps of each epoch.
        schedule: step -> learning rate.
        devices: that it runs on.
        pieces: that a step takes its batch in.
    """

    init: Any
    steps: CompiledSteps
    evaluate: EvalStep
    plan: Plan
    schedule: Any
    devices: Devices
    pieces: int


def compile_program(experiment: Experiment, examples: int, devices: Devices) -> Program:
    """Return the program of an experiment; XLA compiles when it is first called.

    Args:
        experiment: its seed is not used.
        examples: size of the training split.
        devices: to run on.

    Raises:
        UserError: the batch is larger than the training split, or can't be shared by the
            devices.
    """
    check_batch(experiment.batch_size, examples)
    pure = pure_steps(experiment, examples, devices.count, devices.axis_name)
    ends = {
        steps_at_epoch(epoch, experiment.batch_size, examples)
        for epoch in (*range(1, math.floor(experiment.epochs) + 1), experiment.epochs)
    }
    return Program(
        init=devices.compile(pure.init),
        steps=CompiledSteps(
            one=devices.compile_train_step(pure.train_step),
            several=devices.compile_train_step(several_steps(pure.train_step)),
            per_dispatch=steps_per_dispatch(),
        ),
        evaluate=devices.compile(pure.eval_step),
        plan=Plan(
            epoch_ends=tuple(sorted(ends)),
            batch_size=experiment.batch_size,
            examples=examples,
        ),
        schedule=pure.schedule,
        devices=devices,
        pieces=pure.pieces,
    )


def evaluate_split(
    program: Program, state: TrainState, batches: Iterable[Batch], facts: Any
) -> Summary:
    """Return loss and error over all examples of a split, each counted once."""
    variables = evaluated_variables(state)
    found: list[Any] = []
    for batch in batches:
        found.append(program.evaluate(variables, batch, facts))
        jax.block_until_ready(found[-2:-1])  # else streamed batches pile up
    return summarize(reduce(merge, fetch(found)))


class Workbench:
    """Keeps what several runs share: the opened dataset, its arrays, the last program.

    Attributes:
        where: where and how visibly to run.
        interruption: notes signals while it is entered.
        executed: steps taken so far, over all runs.
    """

    def __init__(self, where: Where) -> None:
        """Open nothing yet."""
        self.where = where
        self.interruption = Interruption()
        self._stop = StopConditions(
            interruption=self.interruption,
            stop_after=where.stop_after,
            time_limit=where.time_limit,
        )
        self.executed = 0
        self._datasets: dict[str, Dataset] = {}
        self._placed: tuple[Any, Data] | None = None
        self._program: tuple[Experiment, Program] | None = None
        self._devices: Devices | None = None

    def reason_to_stop(self) -> str | None:
        """Return why to stop before all runs are finished, None to go on.

        The time limit counts from when this was made.
        """
        return self._stop.reason_to_stop(self.executed, time.monotonic())

    @property
    def devices(self) -> Devices:
        """The devices to run on; the first call starts them."""
        if self._devices is None:
            self._devices = choose_devices(self.where.devices, self.where.parallel)
        return self._devices

    def dataset(self, name: str) -> Dataset:
        """Return the opened dataset."""
        if name not in self._datasets:
            with self._reading():
                self._datasets[name] = open_dataset(name, self.where.data_dir)
        return self._datasets[name]

    def data(self, experiment: Experiment) -> Data:
        """Return the experiment's data: on the devices, or opened to be streamed."""
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
                self._placed = (key, self._prepared(experiment, dataset))
        return self._placed[1]

    def _prepared(self, experiment: Experiment, dataset: Dataset) -> Data:
        where = self.where
        stream = where.stream == "always" or where.cache is not None
        if where.stream == "auto" and not stream:
            stream = not fits(dataset, experiment.image_shape)
        if stream:
            return StreamedData(experiment, dataset, self.devices, where)
        return place_data(experiment, dataset, self.devices)

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
            self._program = (key, compile_program(experiment, examples, self.devices))
        return self._program[1]


def trace_experiment(experiment: Experiment) -> TrainState:
    """Return the shapes of the state after one step, found without data or compilation.

    Raises:
        UserError: the dataset is not known.
        ValueError: the recipe does not fit the network or the dataset's images.
    """
    info = describe_dataset(experiment.dataset)
    height, width, channels = experiment.image_shape
    if info.channels not in (None, channels):
        raise UserError(
            f"{experiment.dataset} has {info.channels} channels, "
            f"the network takes {channels}"
        )
    rng = np.random.default_rng(0)
    size = (8, height, width, channels)
    few = Split(rng.integers(0, 256, size, np.uint8), np.zeros(8, np.int32))
    data = train_data(experiment, few)
    pure = pure_steps(experiment, 8 * experiment.batch_size)

    def one_step(seed: jax.Array, data: TrainData, positions: jax.Array) -> TrainState:
        return pure.train_step(pure.init(seed, {}), data, positions)[0]

    return jax.eval_shape(
        one_step,
        jax.ShapeDtypeStruct((), jnp.uint32),
        data,
        jax.ShapeDtypeStruct(
            (pure.pieces, experiment.batch_size // pure.pieces), jnp.int32
        ),
    )
