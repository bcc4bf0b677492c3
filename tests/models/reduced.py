"""Declared networks, reduced until two cores can compile and train all of them.

One rule for every network, whatever its rows are:

1. Five classes. The printed input is kept, and so is every map size, window, stride,
   padding, group, normalisation, dropout and branch.
2. A network for images wider than ``SMALL`` pixels gets the square roots of its widths
   (of convolutions, branches, bottlenecks, fully connected layers, heads), rounded up to a
   multiple of every number of groups in its table. Roots of printed widths keep their order
   and tell them apart, so no shortcut changes its kind. Other networks stay as printed.
3. Weights from Gaussians with the papers' fixed deviations (0.01, 0.001) are drawn from He
   et al. 2015 instead: such a deviation is made for one width, and at its root the signal
   vanishes. Biases start as printed.
4. Blocks that ``left_out`` names are left out: repetitions that cost minutes.
"""

import dataclasses
import math
from functools import partial

import cnn_jax
from cnn_jax.layers.editing import replace, without
from cnn_jax.layers.initializers import gaussian, he

CLASSES = 5
SMALL = 32  # pixels
# Whole numbers of a row that are no widths.
GEOMETRY = {"kernel", "size", "stride", "padding", "groups", "window", "n", "bins"}


def _root(width, multiple):
    return multiple * math.ceil(math.sqrt(width) / multiple)


def _narrow(row, multiple):
    """Return the row with the roots of its widths; 0, a branch that is none, stays 0."""
    widths = {
        field.name: _root(getattr(row, field.name), multiple)
        for field in dataclasses.fields(row)
        if type(getattr(row, field.name)) is int and field.name not in GEOMETRY
    }
    return dataclasses.replace(row, **widths)


def _without_deviation(row):
    return dataclasses.replace(row, deviation=None) if hasattr(row, "deviation") else row


def _is_fixed_gaussian(initializer):
    return isinstance(initializer, partial) and initializer.func is gaussian


def left_out(name, table):
    """Return the rows that the reduced network lacks.

    ``resnet1202`` keeps the first 13 and the last 12 of the 200 blocks of each stage, 152
    layers in all: XLA takes many minutes for 1,201 convolutions.
    """
    if name != "resnet1202":
        return []
    stages = {}
    for row in table:
        stage, _, number = row.name.partition("_")
        if number:
            stages.setdefault(stage, []).append(row.name)
    return [name for blocks in stages.values() for name in blocks[13:-12]]


def reduced(name):
    """Return the reduced network and what was done to it, in words."""
    model = cnn_jax.create_model(name, num_classes=CLASSES)
    notes = []
    gone = left_out(name, model.table)
    if gone:
        model = without(model, *gone)
        notes.append(f"{len(gone)} blocks left out")
    rows = list(model.table)
    if model.input_shape[0] > SMALL:
        multiple = math.lcm(*(getattr(row, "groups", 1) for row in rows))
        rows = [_narrow(row, multiple) for row in rows]
        notes.append("roots of widths")
    plain = [_without_deviation(row) for row in rows]
    fixed = _is_fixed_gaussian(getattr(model, "initializer", None))
    if plain != rows or fixed:
        notes.append("He's weights")
        if fixed:
            model = model.clone(initializer=he)
    changed = {r.name: r for r, old in zip(plain, model.table, strict=True) if r != old}
    if changed:
        model = replace(model, **changed)
    return model, ", ".join(notes) or "as printed"
