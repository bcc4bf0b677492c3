"""Predictions made up by hand."""

import numpy as np

from cnn_jax.evaluation.predictions import Predictions, Setting

SETTING = Setting(
    model="made",
    dataset="synthetic",
    dataset_label="synthetic",
    fingerprint="f" * 64,
    split="test",
    protocol="one-crop",
)


def log_softmax(scores):
    scores = np.asarray(scores, np.float64)
    return (scores - np.log(np.exp(scores).sum(-1, keepdims=True))).astype(np.float32)


def predictions(log_probabilities, labels, classes=None, setting=SETTING):
    """Take rows as they are; classes are called a, b, c, ..."""
    rows = np.asarray(log_probabilities, np.float32)
    names = classes or tuple(chr(97 + i) for i in range(rows.shape[1]))
    examples = tuple(f"test/{i}" for i in range(len(rows)))
    return Predictions(rows, np.asarray(labels, np.int32), names, examples, setting)


def random_predictions(seed, *, examples=200, classes=7, edge=2.0, setting=SETTING):
    """Random scores, in which the right class has an edge."""
    random = np.random.default_rng(seed)
    labels = np.random.default_rng(0).integers(0, classes, examples)
    scores = random.standard_normal((examples, classes))
    scores[np.arange(examples), labels] += edge
    return predictions(log_softmax(scores), labels, setting=setting)
