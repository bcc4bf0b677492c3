"""Batches that are decoded while the devices train on earlier ones, by Grain.

Images are decoded by threads of this process or by worker processes, a batch each, in the
order of ``streaming_order``; which examples they are is ours, so neither the number of
workers nor where a run begins changes a batch. One more thread places them on the devices,
two ahead.

A worker process that is killed ends the stream with an error; if this process is killed,
its workers leave by themselves.
"""

import gc
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from cnn_jax.data.dataset import Pictures
from cnn_jax.data.streaming_order import PADDING, Wanted
from cnn_jax.errors import UserError
from cnn_jax.types import ImageShape

Placed = TypeVar("Placed")

AHEAD = 2
"""Batches that wait on the devices for their turn."""
WORKER_AHEAD = 1
"""Batches that wait in each worker process."""
INLINE_BYTES = 2**16
"""Arrays below this size come from a worker through a pipe, others in shared memory."""
MOST_THREADS = 16
CLOSING_SECONDS = 60.0
"""How long a thread may take to finish what it is decoding when the stream is closed."""


class Decoded(NamedTuple):
    """A batch in memory.

    Attributes:
        images: uint8 [..., rows, H, W, C]; padding is black.
        labels: int32 [..., rows], or more axes where a label is no number; padding is 0.
        present: bool [..., rows], False for padding.
    """

    images: np.ndarray
    labels: np.ndarray
    present: np.ndarray


class Undecodable(Exception):  # noqa: N818
    """An example that is broken: split, position in it, reason. Survives pickling."""


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Decodes any batch of a sequence when asked for it: a random-access source of Grain.

    Attributes:
        splits: pictures of each split, whose images have the shape below.
        shape: height, width, channels.
        wanted: the batches.
        shard: (index, count): which of how many equal parts of each batch's rows to decode.
    """

    splits: Mapping[str, Pictures]
    shape: ImageShape
    wanted: Sequence[Wanted]
    shard: tuple[int, int] = (0, 1)

    def __len__(self) -> int:
        return len(self.wanted)

    def __getitem__(self, index: int) -> Decoded:
        """Return batch ``index``.

        Raises:
            UserError: an image that does not decode, which the message names.
            Undecodable: anything else that is wrong with an example.
        """
        split, positions = self.wanted[index].shard(*self.shard)
        pictures, flat = self.splits[split], positions.reshape(-1)
        images = np.zeros((len(flat), *self.shape), np.uint8)
        for row, position in enumerate(flat.tolist()):
            if position != PADDING:
                images[row] = self._decode(split, position)
        present = positions != PADDING
        labels = pictures.labels[positions]
        labels[~present] = 0
        return Decoded(images.reshape(*positions.shape, *self.shape), labels, present)

    def _decode(self, split: str, position: int) -> np.ndarray:
        try:
            image = self.splits[split].decode(position)
        except UserError:
            raise
        except Exception as error:  # a file that is gone, a record cut short, a bug
            reason = f"{type(error).__name__}: {error}"
            raise Undecodable(split, position, reason) from error
        if image.shape != self.shape:
            reason = f"its image is {image.shape}, not {self.shape}"
            raise Undecodable(split, position, reason)
        return image

    def without_names(self) -> "Batches":
        """Return what a worker process needs."""
        bare = {name: p._replace(names=()) for name, p in self.splits.items()}
        return Batches(splits=bare, shape=self.shape, wanted=self.wanted, shard=self.shard)

    def told(self, error: BaseException) -> BaseException:
        """Return an error of the pipeline as one for people, where it is theirs."""
        if isinstance(error, Undecodable):
            split, position, reason = error.args
            return UserError(f"{self.splits[split].names[position]}: {reason}")
        if isinstance(error, RuntimeError) and "terminated unexpectedly" in str(error):
            code = str(error).partition("exit code ")[2].partition(".")[0]
            return UserError(
                f"a worker process that decodes images has died (exit code {code}); "
                f"what is saved is whole and the same command goes on; --workers 0 "
                f"decodes in threads instead"
            )
        return error


class Stream(Generic[Placed]):
    """Hands out batches in order; see ``open_stream``."""

    def __init__(
        self,
        batches: Batches,
        workers: int,
        arrange: Callable[[Iterator[Decoded]], Iterator[Placed]],
    ) -> None:
        """Start to decode."""
        self._batches, self._workers = batches, workers
        self._ready: queue.Queue[Any] = queue.Queue(AHEAD)
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(arrange,), name="stream", daemon=True
        )
        self._thread.start()

    def late(self) -> bool:
        """Return whether ``take`` would have to wait."""
        return self._ready.empty()

    def take(self) -> Placed:
        """Return the next one; waits for it.

        Raises:
            UserError: an image that does not decode, or a worker process that died.
            RuntimeError: there are no more.
        """
        value, error = self._ready.get()
        if error is not None:
            self._ready.put((None, error))  # for whoever asks again
            raise self._batches.told(error)
        return value

    def close(self) -> None:
        """Stop decoding; worker processes have ended when this returns."""
        self._closing.set()
        self._thread.join(CLOSING_SECONDS)
        if self._workers:
            gc.collect()  # Grain's cycles hold the last batch, and with it shared memory

    def _run(self, arrange: Callable[[Iterator[Decoded]], Iterator[Placed]]) -> None:
        # Worker processes inherit what this thread blocks: Ctrl-C and a scheduler's
        # SIGTERM reach all processes of a job, but it is this one that ends the others.
        signal.pthread_sigmask(
            signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}
        )
        decoded: Any = None
        try:
            decoded = _decode_all(self._batches, self._workers)
            for value in arrange(decoded):
                if not self._offer((value, None)):
                    return
            self._offer((None, RuntimeError("the stream has no more batches")))
        except BaseException as error:
            self._offer((None, error))
        finally:
            if decoded is not None:
                decoded.close()

    def _offer(self, item: Any) -> bool:
        while not self._closing.is_set():
            try:
                self._ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


@contextmanager
def open_stream(
    batches: Batches,
    workers: int,
    arrange: Callable[[Iterator[Decoded]], Iterator[Placed]],
) -> Iterator[Stream[Placed]]:
    """Decode batches ahead of who takes them.

    Args:
        batches: what to decode.
        workers: processes that decode; with 0, as many threads of this process as there
            are cores.
        arrange: groups decoded batches and places them on the devices; runs in a thread.

    Raises:
        UserError: Grain is not installed, or there is too little shared memory.
    """
    _grain()
    if workers:
        _check_shared_memory(batches, workers)
    stream = Stream(batches, workers, arrange)
    try:
        yield stream
    finally:
        stream.close()


def _grain() -> Any:
    try:
        import grain
        from absl import flags
    except ImportError:
        raise UserError(
            "streaming needs the package grain, which is not installed here; "
            "--stream never decodes all images into memory instead"
        ) from None
    # google/grain#1355: with JAX it reads a flag that only absl.app would have parsed.
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    return grain


def _decode_all(batches: Batches, workers: int) -> Any:
    """Return Grain's iterator over all batches."""
    grain = _grain()
    threads = 0 if workers else min(len(os.sched_getaffinity(0)), MOST_THREADS)
    source = batches.without_names() if workers else batches
    dataset = grain.MapDataset.source(source).to_iter_dataset(
        grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads)
    )
    if workers:
        dataset = grain.experimental.WithOptionsIterDataset(
            dataset, grain.experimental.DatasetOptions(min_shm_size=INLINE_BYTES)
        ).mp_prefetch(
            grain.MultiprocessingOptions(
                num_workers=workers, per_worker_buffer_size=WORKER_AHEAD
            ),
            worker_init_fn=_begin_worker,
        )
    return iter(dataset)


def _begin_worker(index: int, count: int) -> None:  # noqa: ARG001
    """Leave when the parent is gone: nobody would take what is decoded."""
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _check_shared_memory(batches: Batches, workers: int) -> None:
    """Refuse worker processes whose batches don't fit where they are handed over."""
    place = "/dev/shm"
    if not os.path.isdir(place) or not len(batches):
        return
    # In a worker: being decoded, and waiting. Here: two more, and those not yet placed.
    count = workers * (1 + WORKER_AHEAD + 2) + AHEAD
    rows = max(np.prod(wanted.positions.shape) for wanted in _of_each_kind(batches.wanted))
    needed = count * int(rows) * int(np.prod(batches.shape)) // batches.shard[1]
    free = os.statvfs(place)
    if free.f_bavail * free.f_frsize < needed:
        raise UserError(
            f"--workers {workers} needs {needed / 2**20:.0f} MiB of shared memory, and "
            f"{place} has {free.f_bavail * free.f_frsize / 2**20:.0f} MiB; make it larger "
            f"(docker run --shm-size), or take --workers 0, which decodes in threads"
        )


def _of_each_kind(wanted: Sequence[Wanted]) -> list[Wanted]:
    parts = getattr(wanted, "parts", [wanted])
    return [part[0] for part in parts if len(part)]
