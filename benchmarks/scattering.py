"""Images a second of the scattering transform, as training computes it.

Run: python benchmarks/scattering.py
Prints the median over calls, in images a second, and the process's seconds of processor
time for a thousand images.
"""

import statistics
import time

import jax

from cnn_jax.layers.scattering import Scattering
from cnn_jax.training.parallel import compile_step

CASES = (  # images, edge in pixels, J
    (128, 32, 2),
    (128, 32, 3),
    (16, 224, 3),
)
REPEATS = 7


def main() -> None:
    """Measure and print."""
    for count, size, octaves in CASES:
        images = jax.random.normal(jax.random.key(0), (count, size, size, 1))
        transform = compile_step(Scattering(octaves), donate=False)
        jax.block_until_ready(transform(images))  # compiles
        walls, begin = [], time.process_time()
        for _ in range(REPEATS):
            start = time.perf_counter()
            jax.block_until_ready(transform(images))
            walls.append(time.perf_counter() - start)
        processor = (time.process_time() - begin) / REPEATS / count * 1000
        print(
            f"{count} x {size} x {size}, J = {octaves}: "
            f"{count / statistics.median(walls):.0f} images/s, "
            f"{processor:.2f} s of processor time for 1000"
        )


if __name__ == "__main__":
    main()
