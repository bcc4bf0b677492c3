"""``Experiment``: everything that changes a run's numbers, as one frozen value.

What does not change numbers (where the data lies, what is shown) is in ``Where``.
"""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from cnn_jax.codec import digest, encode
from cnn_jax.data.augmentation import Augmentation
from cnn_jax.data.preprocessing import Normalization
from cnn_jax.errors import UserError
from cnn_jax.experiment.start import StartFrom
from cnn_jax.optim.optimizers import Optimizer
from cnn_jax.optim.schedules import Schedule
from cnn_jax.training.averaging import Averaging
from cnn_jax.training.losses import Loss, cross_entropy
from cnn_jax.training.parallel import Strategy
from cnn_jax.training.progress import Kind
from cnn_jax.types import ImageShape

CHANNEL_MEAN_AND_DEVIATION = Normalization()

Precision = Literal["f32", "bf16", "f64"]


@dataclass(frozen=True)
class GhostBatch:
    """Batch normalisation over consecutive parts of the batch: Hoffer et al. 2017.

    Attributes:
        rows: examples that are normalised together; they divide the batch.
    """

    rows: int

    def __post_init__(self) -> None:
        _at_least("ghost batch rows", self.rows, 1)


BatchNormOver = Literal["global", "per_replica"] | GhostBatch
"""Which examples batch normalisation takes together in training.

``global``: the whole batch, whatever the number of devices or pieces. ``per_replica``:
those of one device (of one piece, where gradients are accumulated), as most frameworks do:
the numbers depend on how many devices there are. ``GhostBatch``: parts of a stated size.
"""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One training run, but for the machine it runs on.

    A baseline writes every field; a variant is ``dataclasses.replace``.

    Attributes:
        question: what it is to answer.
        source: paper and section that the recipe is from.
        model: a module instance, e.g. ``create_model("alexnet_small")``.
        dataset: name as on the command line.
        train_examples: size of a fixed, class-balanced subset of the training split; None
            for all of it.
        image_size: height and width in pixels at which images are kept; None for the
            network's. Larger ones are cut to the network's size: in training by a
            ``RandomCrop``, ``RandomResizedCrop`` or ``ScaleJitter``, in evaluation at the
            centre.
        normalization: of the pixels.
        augmentation: in the order in which they are applied.
        loss: of one example.
        auxiliary_weight: of the loss of each auxiliary head, where the network has any.
        optimizer: update rule and weight decay.
        schedule: learning rate, in epochs.
        averaging: what is evaluated is an average of the parameters over the steps; None
            for the parameters themselves.
        batch_norm: which examples are normalised together.
        accumulation: pieces that a batch is taken in, one after the other, to save memory;
            the step is that of the whole batch. A CPU saves little by it, because its
            pieces are laid out in one program. Batch normalisation over the ``global``
            batch needs all pieces side by side: then the batch goes through at once, and
            activations between normalisations are computed twice instead of kept (where
            the compiler doesn't undo it; XLA's for CPUs does).
        precision: ``bf16`` computes in bfloat16, while parameters, statistics, loss and
            evaluation stay float32; ``f64`` is double throughout, for checks, and needs
            ``JAX_ENABLE_X64=1``.
        start_from: trained weights to begin with, instead of drawn ones.
        freeze: patterns of the parameters that stay as they are (``"conv*"``,
            ``"conv1/kernel"``); a batch normalisation all of whose parameters stay also
            keeps its running statistics.
        epochs: passes over the training split.
        batch_size: examples a step, over all devices.
        seed: of initial weights, order, augmentation and dropout.

    Raises:
        UserError: a number out of its range.
    """

    question: str
    source: str
    model: Any
    dataset: str
    train_examples: int | None = None
    image_size: tuple[int, int] | None = None
    normalization: Normalization = CHANNEL_MEAN_AND_DEVIATION
    augmentation: tuple[Augmentation, ...] = ()
    loss: Loss = cross_entropy
    auxiliary_weight: float = 0.0
    optimizer: Optimizer
    schedule: Schedule
    averaging: Averaging | None = None
    batch_norm: BatchNormOver = "global"
    accumulation: int = 1
    precision: Precision = "f32"
    start_from: StartFrom | None = None
    freeze: tuple[str, ...] = ()
    epochs: float
    batch_size: int
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least("epochs", self.epochs, 0, strict=True)
        _at_least("batch size", self.batch_size, 1)
        _at_least("accumulation", self.accumulation, 1)
        if self.precision not in get_args(Precision):
            raise UserError(
                f"precision {self.precision!r} is not one of "
                f"{', '.join(get_args(Precision))}"
            )
        if not isinstance(self.batch_norm, GhostBatch) and self.batch_norm not in (
            "global",
            "per_replica",
        ):
            raise UserError(
                f"batch_norm {self.batch_norm!r} is not global, per_replica or a GhostBatch"
            )
        if self.train_examples is not None:
            _at_least("train_examples", self.train_examples, 1)
        if not 0 <= self.seed < 2**32 - 1:
            raise UserError(f"seed {self.seed} is not in 0 ... {2**32 - 2}")

    @property
    def image_shape(self) -> ImageShape:
        """Height, width and channels of the images as they are kept."""
        height, width, channels = self.model.input_shape
        return (*(self.image_size or (height, width)), channels)


def _at_least(what: str, value: float, least: float, *, strict: bool = False) -> None:
    if not math.isfinite(value) or not (value > least if strict else value >= least):
        bound = "more than" if strict else "at least"
        raise UserError(f"{what} is {value}; {bound} {least} is needed")


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where and how visibly to run: nothing here changes a number.

    Attributes:
        data_dir: where the dataset lies; None for one that comes with the package.
        devices: how many to spread each batch over; None for one, or for all where
            several processes work together.
        parallel: ``jit`` or ``pmap``.
        progress: ``auto``, ``live``, ``plain`` or ``none``.
        checkpoint_seconds: longest time between two checkpoints; there is always one at
            the end of an epoch.
        stop_after: steps after which to save and stop, over all runs of this command;
            None to train to the end.
        time_limit: seconds after which to save and stop; None to train to the end.
        stream: decode images while training (``always``), or all of them before
            (``never``); ``auto`` streams what takes more than 2 GiB or a quarter of the
            memory, and whatever has a ``cache``.
        workers: processes that decode streamed images; with 0, threads of this one do.
        cache: directory in which streamed images are kept decoded; None for none.

    Raises:
        UserError: a negative number of workers, or a cache of what is not streamed.
    """

    data_dir: Path | None = None
    devices: int | None = None
    parallel: Strategy = "jit"
    progress: Kind = "auto"
    checkpoint_seconds: float = 60.0
    stop_after: int | None = None
    time_limit: float | None = None
    stream: Literal["auto", "always", "never"] = "auto"
    workers: int = 0
    cache: Path | None = None

    def __post_init__(self) -> None:
        _at_least("workers", self.workers, 0)
        if self.cache is not None and self.stream == "never":
            raise UserError(
                f"cache {self.cache} keeps the decoded images of what is streamed, and "
                f"stream is 'never'; leave one of the two out"
            )


def encode_experiment(experiment: Experiment) -> dict[str, Any]:
    """Return the experiment as JSON data.

    Raises:
        UserError: a field holds something that has no stable name.
    """
    data: dict[str, Any] = encode(experiment, "experiment")
    return data


def identity(
    experiment: Experiment,
    fingerprint: str,
    *,
    started_from: str | None = None,
    replicas: int | None = None,
) -> str:
    """Return the SHA-256 (hex) of all that changes the numbers of a run.

    Args:
        experiment: its question and source do not count.
        fingerprint: of the dataset's content.
        started_from: digest of the weights it begins with, if it does.
        replicas: number of devices, where the numbers depend on it.
    """
    told: dict[str, Any] = {
        "experiment": identity_fields(experiment),
        "dataset": fingerprint,
    }
    if started_from is not None:
        told["started_from"] = started_from
    if replicas is not None:
        told["replicas"] = replicas
    return digest(told)


def identity_fields(experiment: Experiment) -> dict[str, Any]:
    """Return the experiment as JSON data without question, source and places."""
    fields = dict(encode_experiment(experiment)["fields"])
    del fields["question"], fields["source"]
    if fields["start_from"] is not None:  # its content counts, not where it lies
        start = dict(fields["start_from"]["fields"])
        del start["path"]
        fields["start_from"] = start
    return fields


def with_epochs(experiment: Experiment, epochs: float) -> Experiment:
    """Return the experiment with another length, its schedule stretched in proportion."""
    _at_least("epochs", epochs, 0, strict=True)
    factor = epochs / experiment.epochs
    averaging = experiment.averaging
    return dataclasses.replace(
        experiment,
        epochs=epochs,
        schedule=experiment.schedule.scaled(factor),
        averaging=averaging and averaging.scaled(factor),
    )


def on_dataset(
    experiment: Experiment, name: str, *, channels: int, num_classes: int
) -> Experiment:
    """Return the experiment on another dataset; the network takes its channels and classes.

    Args:
        experiment: to be moved.
        name: of the dataset.
        channels: 1 for grey images, 3 for colour.
        num_classes: of the dataset.
    """
    height, width, _ = experiment.model.input_shape
    model = experiment.model.clone(
        input_shape=(height, width, channels), num_classes=num_classes
    )
    return dataclasses.replace(experiment, dataset=name, model=model)
