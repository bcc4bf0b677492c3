"""What the Neocognitron learns from real digits 0 to 4, without labels.

Run: python benchmarks/neocognitron_digits.py [--data-dir MNIST] [--seeds N]
Prints, for every seed of the initial synapses, the measure of
``cnn_jax/analysis/neocognitron_measure.py`` before learning, after the paper's procedure
(five patterns, 20 presentations each: here the first digit of each class) and after 100
digits, 5 presentations each. Without MNIST the digits are scikit-learn's.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.analysis.neocognitron_measure import (
    nearest_neighbour_error,
    neocognitron_measure,
)
from cnn_jax.data.datasets import open_dataset
from cnn_jax.models.neocognitron import Neocognitron

CLASSES = 5
TEST = 1000
PER_CLASS, READ_OUT = 20, 90  # digits of a class to learn from, and to compare with


def of_five_classes(split):
    """Return the digits 0 to 4 as numbers from 0 to 1, and their labels."""
    kept = split.labels < CLASSES
    return split.images[kept].astype(np.float32) / 255.0, split.labels[kept]


def first_of_each(labels, count):
    """Return the positions of the first ``count`` of every class, the classes in turn."""
    found = [np.flatnonzero(labels == label)[:count] for label in range(CLASSES)]
    return np.stack(found, axis=1).reshape(-1)


def show(stage, measure):
    """Print one line of the table."""
    errors = "  ".join(f"{100 * error:6.1f}" for error in measure.errors.values())
    print(
        f"{stage:22} {measure.distinct:8} {measure.responding.mean():10.1f} "
        f"{measure.selectivity:11.2f} {measure.unmoved:7.2f}  {errors}"
    )


def main() -> None:
    """Learn, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, help="MNIST's four IDX files")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    name = "digits" if given.data_dir is None else "mnist"
    model = Neocognitron()
    splits = open_dataset(name, given.data_dir).read(model.input_shape)
    train, test = of_five_classes(splits.train), of_five_classes(splits.test)
    test = test[0][:TEST], test[1][:TEST]
    few = first_of_each(train[1], READ_OUT)
    train = train[0][few], train[1][few]
    patterns = train[0][:CLASSES]
    many = train[0][: CLASSES * PER_CLASS]
    pixels = nearest_neighbour_error(train[0], train[1], *test)
    print(f"{name}: nearest of {len(few)} digits, {len(test[1])} test digits")
    print(f"test error from pixels: {100 * pixels:.1f} %; from u_c2 and u_c3 below, in %")
    print(f"{'':22} distinct responding selectivity unmoved    u_c2    u_c3")
    init = jax.jit(lambda key: model.init(key, jnp.zeros((1, 16, 16, 1)), train=False))
    learn = jax.jit(model.learn, static_argnames="presentations")
    for seed in range(given.seeds):
        start = init(jax.random.key(seed))
        five = learn(start, patterns, presentations=20)
        hundred = learn(start, many, presentations=5)
        stages = {"before": start, "5 digits x 20": five, "100 digits x 5": hundred}
        for stage, variables in stages.items():
            measure = neocognitron_measure(model, variables, patterns, train, test)
            show(f"seed {seed}, {stage}", measure)


if __name__ == "__main__":
    main()
