"""Measure training images that don't fit into memory, all measurements in one pass.

A measurement (``Normalization.fit``, an augmentation's ``fit``) takes an array of images
and goes through it once, block by block. Here each gets a stand-in for that array, in a
thread of its own, and all are fed the same decoded blocks.
"""

import queue
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from cnn_jax.types import ImageShape

BLOCKS_AHEAD = 2


class PassingImages:
    """Stands in for an array uint8 [N, H, W, C] whose rows are asked for once, in order.

    Attributes:
        dtype: uint8.
        ndim: 4.
        shape: [N, H, W, C].
        size: number of values.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        block: Callable[[], np.ndarray | None],
        cut: tuple[slice, slice] = (slice(None), slice(None)),
    ) -> None:
        """Take the rows from ``block()``, until it returns None; ``cut`` is of each."""
        self.shape, self.size = shape, int(np.prod(shape))
        self._block, self._cut = block, cut
        self._at, self._left = 0, np.zeros((0, *shape[1:]), np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """Return the next rows, or for ``[:, rows, columns]`` a stand-in for that part.

        Raises:
            ValueError: other rows than the next ones.
        """
        if isinstance(key, tuple):
            every, rows, columns = key
            if every != slice(None) or self._at or self._cut[0] != slice(None):
                raise ValueError(f"{key}: only [:, rows, columns], before anything is read")
            height, width = (
                len(range(side)[part])
                for side, part in zip(self.shape[1:3], (rows, columns), strict=True)
            )
            shape = (self.shape[0], height, width, self.shape[3])
            return PassingImages(shape, self._block, (rows, columns))
        start, stop, step = key.indices(len(self))
        if start != self._at or step != 1:
            raise ValueError(f"rows {start} ... {stop} were asked for, {self._at} is next")
        return self._next(stop - start)

    def _next(self, count: int) -> np.ndarray:
        parts, missing = [self._left], count - len(self._left)
        while missing > 0:
            block = self._block()
            if block is None:
                raise ValueError(f"the images end before {self._at + count}")
            parts.append(block[:, self._cut[0], self._cut[1]])
            missing -= len(block)
        rows = np.concatenate(parts)
        self._left, self._at = rows[count:].copy(), self._at + count
        return rows[:count]


def measure_in_one_pass(
    measurements: Sequence[Callable[[Any], Any]],
    blocks: Iterable[np.ndarray],
    examples: int,
    shape: ImageShape,
) -> list[Any]:
    """Return what each measurement makes of the same images.

    Args:
        measurements: of an array of images, uint8 [N, H, W, C]; one that does not look at
            them is done at once.
        blocks: the images in order, uint8 [n, H, W, C]; read only as far as needed.
        examples: N.
        shape: height, width, channels.

    Raises:
        UserError: a measurement raised it, or what decodes the blocks.
    """
    queues: list[queue.Queue[np.ndarray | None]] = [
        queue.Queue(BLOCKS_AHEAD) for _ in measurements
    ]
    with ThreadPoolExecutor(max(len(measurements), 1), "measure") as pool:
        futures = [
            pool.submit(measure, PassingImages((examples, *shape), waiting.get))
            for measure, waiting in zip(measurements, queues, strict=True)
        ]
        try:
            for block in blocks:
                fed = [
                    _offer(block, waiting, future)
                    for waiting, future in zip(queues, futures, strict=True)
                ]
                if not any(fed):
                    break
        finally:  # nobody waits for ever for what does not come
            for waiting, future in zip(queues, futures, strict=True):
                _offer(None, waiting, future)
        return [future.result() for future in futures]


def _offer(
    block: np.ndarray | None, waiting: "queue.Queue[np.ndarray | None]", future: Future[Any]
) -> bool:
    """Hand over a block; False if the measurement is done."""
    while not future.done():
        try:
            waiting.put(block, timeout=0.05)
        except queue.Full:
            continue
        return True
    return False
