"""Where a run's batches come from: two pipelines behind one interface.

``resident.py`` keeps all decoded images on the devices; ``streamed.py`` decodes them as
they are needed. Both give the same batches, bit for bit: which examples a step takes is a
function of (seed, step).
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cnn_jax.data.dataset import Dataset
from cnn_jax.experiment.declaration import Experiment
from cnn_jax.training.loop import Plan
from cnn_jax.training.parallel import Devices
from cnn_jax.training.train_data import TrainData
from cnn_jax.types import Batch

EVAL_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one attempt at a run reads.

    Attributes:
        experiment: its seed counts.
        plan: steps of each epoch.
        pieces: that a step takes its batch in.
        per_dispatch: steps that are taken at once.
        first_step: that it begins with.
        facts_file: where what was measured of the training images is kept.
        told: is told what is done before the first step: what, images done, of how many.
    """

    experiment: Experiment
    plan: Plan
    pieces: int
    per_dispatch: int
    first_step: int
    facts_file: Path
    told: Callable[[str, int, int], None]


class Feed(Protocol):
    """Gives the batches of one attempt, in the order in which they are needed."""

    @property
    def data(self) -> TrainData:
        """What every training step gets besides the examples that it takes."""
        ...

    @property
    def late(self) -> Callable[[], bool] | None:
        """Tells whether the next batch is not there yet; None where all always are."""
        ...

    def take(self, step: int, count: int) -> Any:
        """Return what a dispatch of ``count`` steps takes, on the devices."""
        ...

    def batches(self, split: str) -> Iterable[Batch]:
        """Return each example of a split once, in padded and masked batches."""
        ...


class Data(Protocol):
    """A dataset that is ready for an experiment."""

    @property
    def dataset(self) -> Dataset:
        """The opened dataset."""
        ...

    @property
    def sizes(self) -> dict[str, int]:
        """Number of examples in each split."""
        ...

    @property
    def told(self) -> dict[str, Any]:
        """How it is read, for the record of an attempt."""
        ...

    def open(self, reading: Reading) -> AbstractContextManager[Feed]:
        """Begin to read; what was begun ends with the context."""
        ...


def eval_rows(examples: int, devices: Devices) -> int:
    """Return the rows of a split's evaluation batches, which all devices share evenly."""
    size = min(EVAL_BATCH, examples)
    return size + -size % devices.count
