"""Batch normalisation in training, forward and backward: ours against flax's nn.BatchNorm.

Run: python benchmarks/batch_norm.py
Prints the median milliseconds of both, in one process, in turn, and their ratio.
"""

import statistics
import time

import flax.linen as nn
import jax

from cnn_jax.layers.batch_norm import BatchNorm, BatchNormalization
from cnn_jax.training.memory import keep_freed_memory
from cnn_jax.training.parallel import compile_step

SHAPES = ((16, 56, 56, 256), (128, 16, 16, 32))  # ResNet-50's conv2_x, a small ResNet
REPEATS = 15


def ours(variables, x):
    """Return what the networks use."""
    norm = BatchNormalization(BatchNorm(epsilon=1e-5))
    return norm.apply(variables, x, train=True, mutable=["batch_stats"])


def flax(variables, x):
    """Return the same by Flax."""
    norm = nn.BatchNorm(use_running_average=False, momentum=0.9, epsilon=1e-5)
    return norm.apply(variables, x, mutable=["batch_stats"])


def timed(function, *arguments) -> float:
    """Return the milliseconds of one call."""
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    """Measure and print."""
    keep_freed_memory()
    for shape in SHAPES:
        x = jax.random.normal(jax.random.key(0), shape)
        variables = BatchNormalization(BatchNorm()).init(jax.random.key(0), x, train=False)
        steps = []
        for form in (flax, ours):

            def results_and_gradients(variables, x, gradient, form=form):
                y, pull, running = jax.vjp(
                    lambda p, x: form({**variables, "params": p}, x),
                    variables["params"],
                    x,
                    has_aux=True,
                )
                return y, running, pull(gradient)

            steps.append(compile_step(results_and_gradients, donate=False))
            timed(steps[-1], variables, x, x)  # compiles
        times = [[timed(step, variables, x, x) for step in steps] for _ in range(REPEATS)]
        theirs, own = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{shape}: flax {theirs:.1f} ms, ours {own:.1f} ms, {theirs / own:.2f}x")


if __name__ == "__main__":
    main()
