"""Local response normalisation, forward and backward: written-out gradient or autodiff.

Run: python benchmarks/local_response_norm.py
Prints the median milliseconds of both, in one process, in turn, and their ratio.
"""

import statistics
import time

import jax
import jax.numpy as jnp
from jax import Array

from cnn_jax.kernels.local_response_norm import normalize_across_channels
from cnn_jax.training.memory import keep_freed_memory
from cnn_jax.training.parallel import compile_step

SHAPES = ((64, 16, 16, 18), (32, 55, 55, 96), (32, 27, 27, 256))  # small AlexNet, AlexNet
REPEATS = 15


def by_autodiff(x: Array) -> Array:
    """Return the same normalisation, its gradient left to JAX."""
    channels = x.shape[-1]
    squares = jnp.pad(x * x, ((0, 0),) * 3 + ((2, 2),))
    total = sum(squares[..., i : i + channels] for i in range(5))
    root = jax.lax.rsqrt(2.0 + 1e-4 * total)
    return x * root * jnp.sqrt(root)


def by_hand(x: Array) -> Array:
    """Return what the networks use."""
    return normalize_across_channels(x, 2.0, 5, 1e-4, 0.75)


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
        steps = []
        for form in (by_autodiff, by_hand):

            def value_and_gradient(x, gradient, form=form):
                y, pull = jax.vjp(form, x)
                return y, pull(gradient)

            steps.append(compile_step(value_and_gradient, donate=False))
            timed(steps[-1], x, x)  # compiles
        times = [[timed(step, x, x) for step in steps] for _ in range(REPEATS)]
        auto, hand = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{shape}: autodiff {auto:.2f} ms, by hand {hand:.2f} ms, {auto / hand:.1f}x")


if __name__ == "__main__":
    main()
