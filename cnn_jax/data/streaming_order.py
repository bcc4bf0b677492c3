"""Which batches a run takes, one after the other: known before the run begins.

So that whoever decodes them can be ahead, across the ends of epochs too, and nothing has
to be saved: a run that is taken up again begins at its step.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from cnn_jax.data.order import batch_positions

PADDING = -1
"""In place of a position, where a batch is longer than what is left of its split."""


class Wanted(NamedTuple):
    """A batch to be decoded.

    Attributes:
        split: ``"train"``, ``"validation"`` or ``"test"``.
        positions: int32 [..., rows] in the split, or ``PADDING``.
    """

    split: str
    positions: np.ndarray

    def shard(self, index: int, count: int) -> "Wanted":
        """Return part ``index`` of ``count`` equal parts of the rows."""
        rows = self.positions.shape[-1]
        part = slice(index * rows // count, (index + 1) * rows // count)
        return self._replace(positions=self.positions[..., part])


@dataclass(frozen=True, kw_only=True)
class TrainingSteps(Sequence[Wanted]):
    """What consecutive training steps take: ``order.batch_positions``.

    Attributes:
        seed: of the run.
        first: step.
        steps: how many.
        batch_size: examples a step.
        pieces: that a step takes its batch in.
        examples: in the training split.
    """

    seed: int
    first: int
    steps: int
    batch_size: int
    pieces: int
    examples: int

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        """Return the batch of step ``first + index``, its positions [pieces, rows]."""
        if not 0 <= index < self.steps:
            raise IndexError(index)
        step = self.first + index
        taken = batch_positions(self.seed, step, self.batch_size, self.examples)
        return Wanted("train", taken.reshape(self.pieces, -1))


@dataclass(frozen=True, kw_only=True)
class InTurn(Sequence[Wanted]):
    """Every example of a split once, in order, in batches of one size.

    Attributes:
        split: its name.
        examples: in the split, or fewer, to stop there.
        size: rows of every batch; the last one is padded.
        first: example to begin with.
    """

    split: str
    examples: int
    size: int
    first: int = 0

    def __len__(self) -> int:
        return -(-(self.examples - self.first) // self.size)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        """Return batch ``index``, its positions [size]."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = self.first + index * self.size
        positions = np.arange(start, start + self.size, dtype=np.int32)
        positions[positions >= self.examples] = PADDING
        return Wanted(self.split, positions)


@dataclass(frozen=True)
class OneAfterTheOther(Sequence[Wanted]):
    """Several such sequences, end to end.

    Attributes:
        parts: in order.
    """

    parts: tuple[TrainingSteps | InTurn, ...]

    @cached_property
    def _ends(self) -> list[int]:
        return np.cumsum([len(part) for part in self.parts]).tolist()

    def __len__(self) -> int:
        return self._ends[-1] if self.parts else 0

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        """Return batch ``index`` of all."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self._ends, index)
        return self.parts[number][index - (self._ends[number - 1] if number else 0)]
