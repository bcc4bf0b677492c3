"""Which training examples a step takes: a pure function of (seed, step).

Training never pads and never drops. Each epoch has one permutation of the examples; the
epochs' permutations are laid end to end, and step ``s`` takes positions
``[s B, (s + 1) B)`` of that endless row. A batch may straddle two epochs. So every
example is seen equally often, and any step can be replayed alone.
"""

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np

from cnn_jax.errors import UserError

# A product of epochs and steps that lies this close to a whole number (relative) is that
# number: 3 * 0.1 epochs of 10 steps are 3 steps, although 3 * 0.1 > 0.3 in floating point.
ROUNDING = Fraction(1, 10**9)


def random_order(count: int, key: int) -> np.ndarray:
    """Return a permutation of ``range(count)``, int32 [count], fixed by ``key``.

    Philox 4x64 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
    is a published function, so its raw bits are the same for every NumPy; what
    ``Generator.permutation`` makes of them may change between versions (NEP 19).

    Args:
        count: length, at least 0.
        key: 0 to 2**128 - 1.
    """
    # Stable, so that equal draws (chance n^2 / 2^65) keep their order on every platform.
    bits = np.random.Philox(key=key).random_raw(count)
    return np.argsort(bits, kind="stable").astype(np.int32)


@lru_cache(maxsize=4)  # a batch straddles two epochs; training and a replay make four
def epoch_order(seed: int, epoch: int, examples: int) -> np.ndarray:
    """Return the permutation of one epoch, int32 [examples], read-only.

    Args:
        seed: 0 to 2**64 - 1.
        epoch: counted from 0.
        examples: in the training split.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be 0 to 2**64 - 1, not {seed}")
    if not 0 <= epoch < 2**64:
        raise ValueError(f"epoch must be 0 to 2**64 - 1, not {epoch}")
    order = random_order(examples, key=seed + (epoch << 64))
    order.flags.writeable = False  # it is shared by all callers of the cache
    return order


def batch_positions(seed: int, step: int, batch_size: int, examples: int) -> np.ndarray:
    """Return the training examples that one step takes, int32 [batch_size].

    Args:
        seed: of the run, 0 to 2**64 - 1.
        step: counted from 0.
        batch_size: examples a step, over all devices.
        examples: in the training split.

    Raises:
        UserError: the training split is empty, or smaller than one batch.
        ValueError: a negative step or seed, or a batch size below 1.
    """
    check_batch(batch_size, examples)
    if step < 0:
        raise ValueError(f"step must be at least 0, not {step}")
    epoch, start = divmod(step * batch_size, examples)
    taken = epoch_order(seed, epoch, examples)[start : start + batch_size]
    missing = batch_size - len(taken)
    if missing:
        taken = np.concatenate([taken, epoch_order(seed, epoch + 1, examples)[:missing]])
    return np.array(taken)  # a copy: the cached permutation stays read-only


def check_batch(batch_size: int, examples: int) -> None:
    """Refuse a batch that the training split can't fill.

    Raises:
        UserError: the training split is empty, or smaller than one batch.
        ValueError: ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch size must be at least 1, not {batch_size}")
    if examples < 1:
        raise UserError("the training split is empty; it needs at least one batch")
    if batch_size > examples:
        raise UserError(
            f"batch size {batch_size} is larger than the training split of {examples}"
            f" examples; allowed are 1 to {examples}"
        )


def steps_at_epoch(epochs: float, batch_size: int, examples: int) -> int:
    """Return the first step count at which ``epochs`` epochs have been seen in full.

    ``ceil(epochs * examples / batch_size)``, where a value that is whole but for
    floating-point rounding counts as whole.

    Args:
        epochs: at least 0, may be a fraction.
        batch_size: examples a step.
        examples: in the training split.

    Raises:
        UserError: the training split is empty, or smaller than one batch.
        ValueError: ``epochs`` is negative or not finite.
    """
    check_batch(batch_size, examples)
    if not (math.isfinite(epochs) and epochs >= 0):
        raise ValueError(f"epochs must be finite and at least 0, not {epochs}")
    steps = Fraction(epochs) * examples / batch_size
    nearest = round(steps)
    if abs(steps - nearest) <= ROUNDING * nearest:
        return nearest
    return math.ceil(steps)


def epoch_at_step(step: int, batch_size: int, examples: int) -> float:
    """Return how many epochs the first ``step`` steps have seen, a fraction of one too."""
    check_batch(batch_size, examples)
    return step * batch_size / examples
