"""Score every example of a split exactly once: group by shape, pad, compile once a shape.

Images may differ in size. Each is brought to the protocol's scales on the host, waits
among images of the same shapes until they fill a batch, and is scored on the device. The
last batch of each shape is padded; what comes out of the padding is thrown away.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from cnn_jax.data.dataset import Pictures
from cnn_jax.errors import UserError
from cnn_jax.evaluation.network import Network
from cnn_jax.evaluation.progress import Display
from cnn_jax.evaluation.protocol import Protocol, check_task
from cnn_jax.training.parallel import Devices, choose_devices, fetch

Scales = tuple[np.ndarray, ...]
"""One image as a protocol sees it: uint8 [h, w, C] for each scale."""
Score = Callable[[Scales], Any]
"""uint8 [N, h, w, C] for each scale -> log-probabilities [N, classes] on the device."""

# Images that wait because too few others have their shape are scored in a batch that is
# mostly padding once there are this many batches of them: it bounds the memory.
WAITING_BATCHES = 16


class HostBatch(NamedTuple):
    """Images of one shape; ``positions`` in the split of the rows that are no padding."""

    positions: np.ndarray
    images: Scales


class Speed(NamedTuple):
    """How long scoring took, and how fast it went without compilation."""

    seconds: float
    images_per_second: float


def compile_scoring(
    network: Network, protocol: Protocol, devices: Devices | None = None
) -> Score:
    """Return the compiled scoring function; the one place that touches the devices.

    Args:
        network: its arrays are placed once, whole on every device.
        protocol: how an image is scored.
        devices: the rows of a batch are spread over them, so their number must divide it;
            None for one.

    Raises:
        UserError: the protocol does not serve the network's task.
    """
    check_task(protocol, network.model)
    devices = devices or choose_devices()
    arrays = devices.place((network.variables, network.preprocessing))

    def step(arrays: Any, images: Any) -> Any:
        return protocol.scores(Network(network.model, *arrays), images)

    compiled, place = devices.compile(step), devices.place_rows
    return lambda images: compiled(arrays, place(images))


def score_pictures(
    score: Score,
    resize: Callable[[np.ndarray], Scales],
    pictures: Pictures,
    *,
    classes: int,
    batch_size: int,
    multiple_of: int,
    display: Display,
) -> tuple[np.ndarray, Speed]:
    """Return log-probabilities, float32 [N, classes], in the order of the split.

    The device works on one batch while the host fetches the one before.

    Args:
        score: of a batch.
        resize: image -> its scales, on the host.
        pictures: the split.
        classes: columns that are expected.
        batch_size: images a call of ``score``, or fewer where the split has fewer.
        multiple_of: every call has a multiple of so many images: the number of devices.
        display: is told of every batch.

    Raises:
        UserError: the network's output is not one score a class, or an image that does
            not decode.
    """
    count = len(pictures.labels)
    size = -(-min(batch_size, count) // multiple_of) * multiple_of
    scores = np.full((count, classes), np.nan, np.float32)
    began, compiling, done = time.perf_counter(), 0.0, 0
    seen: set[Any] = set()
    pending: tuple[np.ndarray, Any] | None = None

    def store(positions: np.ndarray, found: Any) -> None:
        nonlocal done
        if found.shape != (size, classes):
            raise UserError(
                f"the network gives scores of shape {found.shape[1:]} an image; "
                f"the dataset has {classes} classes"
            )
        scores[positions] = fetch(found)[: len(positions)]
        done += len(positions)
        seconds = time.perf_counter() - began - compiling
        display.advance(done, done / max(seconds, 1e-9))

    for batch in host_batches(resize, pictures, size):
        shapes = tuple(scale.shape for scale in batch.images)
        started = time.perf_counter()
        found = score(batch.images)
        if shapes not in seen:  # this call compiled
            seen.add(shapes)
            compiling += time.perf_counter() - started
        if pending:
            store(*pending)
        pending = batch.positions, found
    if pending:
        store(*pending)
    seconds = time.perf_counter() - began
    return scores, Speed(seconds, count / max(seconds - compiling, 1e-9))


def host_batches(
    resize: Callable[[np.ndarray], Scales], pictures: Pictures, size: int
) -> Iterator[HostBatch]:
    """Yield batches of exactly ``size`` images of one shape; every image is in one.

    Args:
        resize: image -> its scales.
        pictures: the split.
        size: images a batch, padding counted.
    """
    waiting: dict[Any, list[tuple[int, Scales]]] = {}
    images = _prepared(lambda i: resize(pictures.decode(i)), len(pictures.labels), size)
    for position, scales in enumerate(images):
        group = waiting.setdefault(tuple(scale.shape for scale in scales), [])
        group.append((position, scales))
        if len(group) < size and sum(map(len, waiting.values())) >= WAITING_BATCHES * size:
            group = max(waiting.values(), key=len)
        elif len(group) < size:
            continue
        yield _stacked(group, size)
        group.clear()
    for group in waiting.values():
        if group:
            yield _stacked(group, size)


def _stacked(group: list[tuple[int, Scales]], size: int) -> HostBatch:
    positions = np.array([position for position, _ in group])
    padding = [(0, size - len(group)), (0, 0), (0, 0), (0, 0)]
    scales = zip(*(scales for _, scales in group), strict=True)
    return HostBatch(positions, tuple(np.pad(np.stack(s), padding) for s in scales))


def _prepared(prepare: Callable[[int], Scales], count: int, ahead: int) -> Iterator[Scales]:
    """Yield ``prepare(0), ...`` in order, computed in threads at most ``ahead`` early."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting: deque[Future[Scales]] = deque()
        for position in range(count):
            waiting.append(pool.submit(prepare, position))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
