"""How much of the bare decode rate is left when images are streamed to the device.

    python benchmarks/streaming.py

It makes 320 JPEGs like photographs (500x375, quality 90), and measures in turn, in one run:

bare      the decoder alone: ``decode_image`` in as many threads (processes) as there are
          cores, nothing kept
streamed  the whole pipeline: our order, Grain, batches of 32, placed on the device

once for images that are brought to 224x224 while they are decoded (bilinear with
antialias), once for JPEGs that have this size already, and once from a cache of decoded
images. The bare rate without any resizing is told too: it is what libjpeg-turbo can do.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from cnn_jax.data.dataset import Pictures
from cnn_jax.data.datasets import open_dataset
from cnn_jax.data.decoding import decoder
from cnn_jax.data.streaming import Batches, Decoded, open_stream
from cnn_jax.data.streaming_order import TrainingSteps
from cnn_jax.data.streaming_sources import cache_splits, open_splits
from cnn_jax.training.parallel import choose_devices
from cnn_jax.training.train_data import Rows

SIDE, BATCH, IMAGES = 224, 32, 320
CORES = len(os.sched_getaffinity(0))


def make_photos(root: Path, width: int, height: int) -> Path:
    """Write smooth colours with grain: about 60 kB for 500x375, like ImageNet's."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for number in range(IMAGES):
        split = "test" if number % 10 > 7 else "train"
        coarse = draw.integers(0, 256, (height // 25 + 2, width // 25 + 2, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        grain = draw.normal(0, 6, (height, width, 3))
        pixels = (np.asarray(smooth) + grain).clip(0, 255).astype(np.uint8)
        written = io.BytesIO()
        Image.fromarray(pixels).save(written, "JPEG", quality=90)
        path = root / split / f"class{number % 2}" / f"{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written.getvalue())
    return root


def decode_some(decode: Callable[[int], np.ndarray], positions: range) -> int:
    """Decode and forget."""
    for position in positions:
        decode(position)
    return len(positions)


def bare_rate(pictures: Pictures, pool: Executor, repeats: int) -> float:
    """Return images a second of the decoder alone on all cores."""
    chunks = [range(i, len(pictures.labels), 4 * CORES) for i in range(4 * CORES)]
    began = time.perf_counter()
    work = [pool.submit(decode_some, pictures.decode, c) for c in chunks * repeats]
    count = sum(future.result() for future in work)
    return count / (time.perf_counter() - began)


def streamed_rate(splits: dict[str, Pictures], shape: Any, workers: int) -> float:
    """Return images a second that arrive on the device, without the start-up."""
    devices, steps = choose_devices(), 30
    wanted = TrainingSteps(
        seed=0,
        first=0,
        steps=steps + 6,
        batch_size=BATCH,
        pieces=1,
        examples=len(splits["train"].labels),
    )
    batches = Batches(splits=splits, shape=shape, wanted=wanted)

    def arrange(decoded: Iterator[Decoded]) -> Iterator[Any]:
        for batch in decoded:
            rows = Rows(np.asarray(batch.images), batch.labels)
            yield devices.place_taken(rows, 1)

    with open_stream(batches, workers, arrange) as stream:
        for _ in range(6):  # what was decoded while the workers started
            stream.take()
        began = time.perf_counter()
        for _ in range(steps):
            stream.take().images.block_until_ready()
        return steps * BATCH / (time.perf_counter() - began)


def compare(name: str, splits: dict[str, Pictures], shape: Any, repeats: int) -> None:
    """Print both rates and their ratio, for threads and for processes."""
    for workers in (0, CORES):
        pool: Executor = (
            ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
            if workers
            else ThreadPoolExecutor(CORES)
        )
        with pool:
            bare_rate(splits["train"], pool, 1)  # starts them
            rates = [
                (bare_rate(splits["train"], pool, 3), streamed_rate(splits, shape, workers))
                for _ in range(repeats)
            ]
        bare, streamed = (statistics.median(column) for column in zip(*rates, strict=True))
        kind = f"{workers} processes" if workers else f"{CORES} threads"
        ratio = statistics.median(s / b for b, s in rates)
        print(f"{name:28} {kind:12} {bare:8.0f} {streamed:8.0f} {ratio:8.2f}", flush=True)


def resident_mebibytes() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    shape = (SIDE, SIDE, 3)
    with tempfile.TemporaryDirectory() as place:
        large = open_dataset("image-folder", make_photos(Path(place, "a"), 500, 375))
        fitted = open_dataset("image-folder", make_photos(Path(place, "b"), SIDE, SIDE))
        opened = large.pictures
        assert opened is not None
        print(f"{decoder()}; {CORES} cores; images/s")
        with ThreadPoolExecutor(CORES) as pool:
            own = opened("train", 3, None)
            print(f"decoding 500x375, no resizing: {bare_rate(own, pool, 3):.0f}")
        print(f"{'':28} {'':12} {'bare':>8} {'streamed':>8} {'ratio':>8}")
        splits = open_splits(large, shape, None)
        compare("500x375 fitted to 224x224", splits, shape, repeats)
        compare("224x224", open_splits(fitted, shape, None), shape, repeats)
        silent = partial(lambda *_: None)
        root = Path(place, "cache")
        cached = cache_splits(splits, root, large, shape, None, 0, silent)
        print(
            f"{'from the cache':28} {'':12} {'':8} {streamed_rate(cached, shape, 0):8.0f}"
        )
        sizes = []
        for _ in range(6):
            streamed_rate(splits, shape, 0)
            sizes.append(f"{resident_mebibytes():.0f}")
        print(f"memory after every 3.75 epochs, MiB: {' '.join(sizes)}")


if __name__ == "__main__":
    main()
