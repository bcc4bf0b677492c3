"""Where the rows that a layer sees lie in the step's batch.

Under jit a layer sees the whole batch, wherever its rows lie. Under pmap, and when
gradients are accumulated, it sees a part of it. The training step says so around
``model.apply``; the layers whose result depends on the other rows, or on a row's position,
ask here. Like JAX's own named axes it is a fact of tracing, not of running: nothing of it
is left in the compiled program but the numbers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class BatchLayout:
    """The rows at hand.

    Attributes:
        first_row: position of the first of them in the global batch; an integer, traced
            or not.
        axis_name: of the devices that hold the other rows; None if there are none.
        statistics_rows: how many consecutive rows batch normalisation takes together;
            None for the whole global batch.
        frozen: scopes of the batch normalisations that keep to their running statistics,
            such as ``"conv2_1/conv1_norm"``.
    """

    first_row: Any = 0
    axis_name: str | None = None
    statistics_rows: int | None = None
    frozen: frozenset[str] = frozenset()


_WHOLE_BATCH = BatchLayout()
_LAYOUT: ContextVar[BatchLayout] = ContextVar("batch_layout", default=_WHOLE_BATCH)


def current_layout() -> BatchLayout:
    """Return the layout that holds while this is traced; all rows at hand by default."""
    return _LAYOUT.get()


@contextmanager
def batch_layout(layout: BatchLayout) -> Iterator[None]:
    """Let ``layout`` hold for what is traced inside."""
    token = _LAYOUT.set(layout)
    try:
        yield
    finally:
        _LAYOUT.reset(token)
