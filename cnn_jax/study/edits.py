"""The usual edits of an experiment, as functions ``Experiment -> Experiment``."""

import dataclasses
from typing import Any

from cnn_jax.experiment.declaration import Experiment
from cnn_jax.layers.editing import resize, without
from cnn_jax.study.study import Edit


def unchanged(experiment: Experiment) -> Experiment:
    """Return the baseline itself."""
    return experiment


def remove(*layers: str) -> Edit:
    """Return the edit that removes the named layers of the network."""

    def edit(experiment: Experiment) -> Experiment:
        return dataclasses.replace(experiment, model=without(experiment.model, *layers))

    return edit


def scale(**factors: float) -> Edit:
    """Return the edit that multiplies the widths of the named layers, e.g. ``fc6=0.5``."""

    def edit(experiment: Experiment) -> Experiment:
        model = experiment.model
        widths = {row.name: getattr(row, "features", 0) for row in model.table}
        # An unknown name keeps width 0 and is refused, with near names, by resize.
        new = {
            name: round(widths.get(name, 0) * factor) for name, factor in factors.items()
        }
        return dataclasses.replace(experiment, model=resize(model, **new))

    return edit


def change_model(**fields: Any) -> Edit:
    """Return the edit that sets fields of the network, e.g. ``activation=tanh``."""

    def edit(experiment: Experiment) -> Experiment:
        return dataclasses.replace(experiment, model=experiment.model.clone(**fields))

    return edit


def change(**fields: Any) -> Edit:
    """Return the edit that sets fields of the experiment, e.g. ``batch_size=32``."""

    def edit(experiment: Experiment) -> Experiment:
        return dataclasses.replace(experiment, **fields)

    return edit
