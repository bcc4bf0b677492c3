"""The classic convolutional networks as their papers print them, in JAX and Flax.

Public names are loaded when they are first used, so ``import cnn_jax`` is fast and starts
no device.
"""

import importlib
from typing import Any

_HOME = {
    "list_models": "cnn_jax.models",
    "model_spec": "cnn_jax.models",
    "create_model": "cnn_jax.models",
    "without": "cnn_jax.layers.editing",
    "replace": "cnn_jax.layers.editing",
    "resize": "cnn_jax.layers.editing",
    "count_parameters": "cnn_jax.layers.tracing",
    "count_macs": "cnn_jax.analysis.compute",
    "layer_table": "cnn_jax.analysis.layer_table",
    "features": "cnn_jax.analysis.features",
    "Experiment": "cnn_jax.experiment.declaration",
    "Where": "cnn_jax.experiment.declaration",
    "StartFrom": "cnn_jax.experiment.start",
    "GhostBatch": "cnn_jax.experiment.declaration",
    "run": "cnn_jax.experiment.run",
    "load_run": "cnn_jax.experiment.load",
    "evaluate": "cnn_jax.evaluation.evaluate",
    "ensemble": "cnn_jax.evaluation.ensemble",
    "compare": "cnn_jax.evaluation.comparison",
    "load_predictions": "cnn_jax.evaluation.predictions",
    "save_predictions": "cnn_jax.evaluation.predictions",
    "load_weights": "cnn_jax.weights.load",
    "Arm": "cnn_jax.study.study",
    "Study": "cnn_jax.study.study",
    "PublishedColumn": "cnn_jax.study.results",
    "run_study": "cnn_jax.study.runner",
    "list_experiments": "cnn_jax.study.declared",
    "load_experiment": "cnn_jax.study.declared",
    "load_study": "cnn_jax.study.declared",
    "UserError": "cnn_jax.errors",
}

__all__ = list(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cnn_jax' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
